package process

import "strings"

// optionTable says of each known option whether it takes a value.
type optionTable map[string]bool

// tables gives the options before and after the verb, as `podman --help`, `podman run --help` (4 and 5) and the same of docker (20 to 29)
// list them. A new option of an engine is a word here; until then a command that uses it is refused rather than misread.
func tables(engine string) (globals, run optionTable) {
	switch engine {
	case "podman":
		return podmanGlobals, podmanRun
	case "docker":
		return dockerGlobals, dockerRun
	}
	return nil, nil
}

func options(values, switches string) optionTable {
	t := optionTable{}
	for _, w := range strings.Fields(values) {
		t[w] = true
	}
	for _, w := range strings.Fields(switches) {
		t[w] = false
	}
	return t
}

const (
	bothValues = `add-host annotation a attach blkio-weight blkio-weight-device cap-add cap-drop cgroup-parent cgroupns cidfile cpu-period cpu-quota
		cpu-rt-period cpu-rt-runtime c cpu-shares cpus cpuset-cpus cpuset-mems detach-keys device device-cgroup-rule device-read-bps device-read-iops
		device-write-bps device-write-iops dns dns-option dns-opt dns-search entrypoint e env env-file expose gpus group-add health-cmd health-interval
		health-retries health-start-period health-timeout h hostname ip ip6 ipc l label label-file log-driver log-opt mac-address m memory memory-reservation
		memory-swap memory-swappiness mount name net network net-alias network-alias oom-score-adj pid pids-limit platform p publish pull restart runtime
		security-opt shm-size stop-signal stop-timeout storage-opt sysctl tmpfs ulimit u user userns uts v volume volumes-from w workdir`
	bothSwitches = `d detach disable-content-trust help init i interactive no-healthcheck oom-kill-disable privileged P publish-all q quiet read-only rm
		sig-proxy t tty`
)

var podmanRun = options(bothValues+` arch authfile cert-dir creds cgroup-conf cgroups chrootdirs conmon-pidfile decryption-key env-merge gidmap group-entry
	health-log-destination health-max-log-count health-max-log-size health-on-failure health-startup-cmd health-startup-interval health-startup-retries
	health-startup-success health-startup-timeout hosts-file hostuser image-volume init-ctr init-path intel-rdt-closid kernel-memory os passwd-entry
	personality pidfile pod pod-id-file preserve-fd preserve-fds rdt-class requires retry retry-delay sdnotify seccomp-policy secret shm-size-systemd
	signature-policy subgidname subuidname systemd timeout tz uidmap umask unsetenv variant`,
	bothSwitches+` env-host http-proxy no-hostname no-hosts passwd read-only-tmpfs replace rmi rootfs tls-verify unsetenv-all`)

var dockerRun = options(bothValues+` cpu-count cpu-percent domainname health-start-interval io-maxbandwidth io-maxiops isolation kernel-memory link link-local-ip
	volume-driver`, bothSwitches+` use-api-socket`)

var podmanGlobals = options(`cdi-spec-dir cgroup-manager config conmon c connection context db-backend events-backend hooks-dir H host identity imagestore log-level
	module namespace network-cmd-path network-config-dir out pull-option root runroot runtime runtime-flag ssh storage-driver storage-opt tls-ca tls-cert tls-key
	tmpdir url volumepath`, `help noout r remote syslog trace transient-store v version`)

var dockerGlobals = options(`config c context H host l log-level tlscacert tlscert tlskey`, `D debug help tls tlsverify v version`)
