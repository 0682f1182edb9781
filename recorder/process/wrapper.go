package process

import (
	"path/filepath"
	"strings"
)

// wrapper describes a program that starts the command which its arguments name: `sudo -u x podman run …`. Only what is in the table is read;
// anything else could take the program for its value, so nothing is guessed.
type wrapper struct {
	options     optionTable
	operands    int  // words between the options and the program: the DURATION of timeout
	assignments bool // NAME=value may stand before the program
	number      bool // nice -5
	priority    bool // an operand that is a number and may be absent: chrt
}

// wrappers are read from the manuals of coreutils 9, util-linux 2.42, sudo 1.9, GNU time 1.9, numactl 2.0 and Debian's xvfb-run. Left out on purpose:
// what starts a shell (sudo -i and -s, env -S), what starts nothing (--help, sudo -l), and what acts on processes that run already (-p of taskset,
// chrt and ionice).
var wrappers = map[string]wrapper{
	"env": {assignments: true, options: options("u unset C chdir",
		"i ignore-environment v debug block-signal default-signal ignore-signal list-signal-handling")},
	"sudo": {assignments: true, options: options(`u user g group h host p prompt C close-from D chdir R chroot T command-timeout r role t type`,
		`E preserve-env H set-home n non-interactive b background k reset-timestamp P preserve-groups S stdin A askpass B bell N no-update`)},
	"nice":    {number: true, options: options("n adjustment", "")},
	"time":    {options: options("f format o output", "p portability a append v verbose q quiet")},
	"nohup":   {options: optionTable{}},
	"stdbuf":  {options: options("i input o output e error", "")},
	"timeout": {operands: 1, options: options("k kill-after s signal", "preserve-status p foreground f verbose v")},
	"setsid":  {options: options("", "c ctty f fork w wait")},
	"ionice":  {options: options("c class n classdata", "t ignore")},
	"taskset": {operands: 1, options: options("", "a all-tasks c cpu-list")},
	"chrt": {priority: true, options: options("T sched-runtime P sched-period D sched-deadline",
		"b batch d deadline f fifo i idle o other r rr R reset-on-fork a all-tasks v verbose")},
	"numactl": {options: options("i interleave w weighted-interleave p preferred P preferred-many C physcpubind N cpunodebind c cpubind m membind",
		"l localalloc a all b balancing")},
	"xvfb-run": {options: options("e error-file f auth-file n server-num p xauth-protocol s server-args w wait", "a auto-servernum l listen-tcp")},
}

// programName is the name by which a program is known: without its folder and without .exe.
func programName(arg string) string {
	return strings.TrimSuffix(filepath.Base(filepath.ToSlash(arg)), ".exe")
}

// unwrap gives the index of the program that the wrappers in front of it start, 0 without any, len(argv) when they start none. It is not ok when a
// wrapper cannot be read; the index is then that of this wrapper.
func unwrap(argv []string) (program int, ok bool) {
	i := 0
	for i < len(argv) {
		w, is := wrappers[programName(argv[i])]
		if !is {
			return i, true
		}
		next, ok := w.skip(argv, i+1)
		if !ok {
			return i, false
		}
		i = next
	}
	return len(argv), true
}

// skip gives the index of what a wrapper starts, whose arguments begin at i.
func (w wrapper) skip(argv []string, i int) (int, bool) {
	for w.number && i < len(argv) && strings.HasPrefix(argv[i], "-") && isInteger(argv[i][1:]) {
		i++
	}
	i, _, err := skipOptions(argv, i, w.options, nil)
	if err != nil {
		return 0, false
	}
	if w.assignments {
		if i < len(argv) && argv[i] == "-" { // env: the same as -i
			i++
		}
		for i < len(argv) && strings.IndexByte(argv[i], '=') > 0 && argv[i][0] != '-' {
			i++
		}
	}
	i += w.operands
	if w.priority && i < len(argv) && isInteger(argv[i]) {
		i++
	}
	if i >= len(argv) {
		return len(argv), true
	}
	return i, argv[i] != "" && argv[i][0] != '-' // sudo A=b -u x program: options once more, which are not read
}

// isInteger reports whether s is a whole number, with or without a sign.
func isInteger(s string) bool {
	s = strings.TrimLeft(s, "+-")
	return s != "" && strings.Trim(s, "0123456789") == ""
}
