package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/runpin/runpin/schema"
	"github.com/runpin/runpin/store"
	storehttp "github.com/runpin/runpin/store/http"
)

func serveCommand(env *Env) *cli.Command {
	return &cli.Command{
		Name: "serve", Usage: "offer the store to other machines over HTTP (docs/http.md)", ArgsUsage: " ",
		Description: `Prints the address when it is ready, and answers until it is told to stop. On this machine alone no token is needed while there is none;
beyond it, a token and TLS are: --tls-cert and --tls-key, or --behind-proxy where something in front sees to that.

` + examples("runpin serve", "runpin serve token create --scope append --project vision", "runpin serve --listen :7443 --tls-cert cert.pem --tls-key key.pem"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "listen", Usage: "on `ADDR`, host:port; port 0 takes a free one", Value: "127.0.0.1:7474"},
			&cli.StringFlag{Name: "tls-cert", Usage: "certificate `FILE` (PEM)"},
			&cli.StringFlag{Name: "tls-key", Usage: "its key `FILE` (PEM)"},
			&cli.BoolFlag{Name: "behind-proxy", Usage: "something in front does TLS, and says in X-Forwarded-For who asks"},
			&cli.StringFlag{Name: "uploads", Usage: "`DIR` for large blobs while they arrive (beside the store)"},
			&cli.Float64Flag{Name: "rate", Usage: "at most `N` requests a second of one token and of one address", Value: 5000},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "log no requests"},
		},
		Subcommands: []*cli.Command{serveTokenCommand(env)},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return unknownWord(c.Command.Subcommands, "serve", c.Args().First())
			}
			return runServe(env, c)
		},
	}
}

// beyondThisMachine reports whether others can reach an address to listen on. A name is looked up, and all it stands for must be this machine's own.
func beyondThisMachine(ctx context.Context, addr string) (bool, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return true, usageError("write host:port, such as 127.0.0.1:7474", "--listen %q: %v", addr, err)
	}
	if host == "" {
		return true, nil
	}
	found, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return true, usageError("write an address of this machine", "--listen %q: %v", addr, err)
	}
	for _, ip := range found {
		if !storehttp.IsLoopback(ip) {
			return true, nil
		}
	}
	return false, nil
}

func runServe(env *Env, c *cli.Context) error {
	ctx := c.Context
	addr, cert, key, proxied := c.String("listen"), c.String("tls-cert"), c.String("tls-key"), c.Bool("behind-proxy")
	if (cert == "") != (key == "") {
		return usageError("", "--tls-cert and --tls-key belong together")
	}
	beyond, err := beyondThisMachine(ctx, addr)
	if err != nil {
		return err
	}
	if beyond && cert == "" && !proxied {
		return usageError("give --tls-cert and --tls-key, or --behind-proxy where something in front does TLS", "--listen %s reaches beyond this machine, where what is sent could be read", addr)
	}
	k, err := openDatabase(ctx, env, c, forWriting)
	if err != nil {
		return err
	}
	defer k.close()
	if beyond || proxied {
		if has, err := k.db.HasTokens(ctx); err != nil {
			return err
		} else if !has {
			return usageError("runpin serve token create --scope append", "nothing is offered beyond this machine while the store has no token")
		}
	}
	options := storehttp.ServerOptions{Uploads: uploadsDir(env, c, k.location), Open: !beyond && !proxied, BehindProxy: proxied, Rate: c.Float64("rate"), Version: version, Now: env.Now}
	var lines sync.Mutex
	logLine := func(format string, args ...any) {
		lines.Lock()
		defer lines.Unlock()
		fmt.Fprintf(env.Err, env.Now().UTC().Format("2006-01-02T15:04:05.000Z ")+format+"\n", args...)
	}
	if !c.Bool("quiet") {
		options.Log = logLine
	}
	server, err := storehttp.NewServer(k.db, options)
	if err != nil {
		return err
	}
	defer server.Close()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return &schema.Error{Op: "serve", Kind: schema.Unavailable, Subject: addr, Err: err, Hint: "is another server running there? --listen takes another address"}
	}
	scheme := "http"
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			_ = listener.Close()
			return usageError("both are PEM files, and the key belongs to the certificate", "--tls-cert %s: %v", cert, err)
		}
		listener, scheme = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}), "https"
	}
	fmt.Fprintf(env.Out, "%s://%s\n", scheme, listener.Addr())
	return serveUntilDone(ctx, listener, server, func(text string) { logLine("%s", text) })
}

// stopWithin is how long requests that are being answered are waited for when the server is told to stop.
const stopWithin = 20 * time.Second

func serveUntilDone(ctx context.Context, listener net.Listener, handler http.Handler, logLine func(string)) error {
	h := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10, ErrorLog: log.New(lineWriter(logLine), "", 0)}
	stopped := make(chan error, 1)
	go func() { stopped <- h.Serve(listener) }()
	select {
	case err := <-stopped:
		return &schema.Error{Op: "serve", Kind: schema.Internal, Subject: "the server", Err: err}
	case <-ctx.Done():
	}
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	if err := h.Shutdown(within); err != nil && !errors.Is(err, http.ErrServerClosed) {
		_ = h.Close()
	}
	return nil // to be told to stop is how a server ends
}

type lineWriter func(string)

func (w lineWriter) Write(b []byte) (int, error) {
	w(oneLine(strings.TrimSpace(string(b))))
	return len(b), nil
}

// uploadsDir is beside a database file; for a database elsewhere, in the cache.
func uploadsDir(env *Env, c *cli.Context, location string) string {
	if dir := c.String("uploads"); dir != "" {
		return dir
	}
	if filepath.IsAbs(location) {
		return location + ".uploads"
	}
	return filepath.Join(env.cacheDir(), "uploads", schema.SHA256([]byte(location)).Hex()[:16])
}

func serveTokenCommand(env *Env) *cli.Command {
	return &cli.Command{
		Name: "token", Usage: "make, list and revoke tokens, where the store lies",
		Subcommands: []*cli.Command{
			{
				Name: "create", Usage: "make a token and print it, this once", ArgsUsage: " ",
				Description: "The store keeps a hash of it alone. Clients take it from RUNPIN_TOKEN, or from the file that RUNPIN_TOKEN_FILE names.\n\n" +
					examples("runpin serve token create --scope append --project vision --name ci --expires 90d", "runpin serve token create --scope read --scope append"),
				Flags: []cli.Flag{
					&cli.StringSliceFlag{Name: "scope", Usage: "`WHAT` it may do: append (add reports), read, admin; repeat for several"},
					&cli.StringFlag{Name: "project", Usage: "only for runs of this `PROJECT`"},
					&cli.StringFlag{Name: "name", Usage: "`TEXT` for people: who has it"},
					&cli.StringFlag{Name: "expires", Usage: "after this `TIME`, such as 90d or 12h"},
				},
				Action: func(c *cli.Context) error { return runTokenCreate(env, c) },
			},
			{
				Name: "list", Usage: "show what is known of each token", ArgsUsage: " ", Flags: []cli.Flag{jsonFlag()}, Description: examples("runpin serve token list"),
				Action: func(c *cli.Context) error { return runTokenList(env, c) },
			},
			{
				Name: "revoke", Usage: "let a token be good no more; a server that runs knows it within two seconds", ArgsUsage: "<id>", Description: examples("runpin serve token revoke k3v9w2x4y5"),
				Action: func(c *cli.Context) error {
					args, err := arguments(c, 1, 1, "the id of a token")
					if err != nil {
						return err
					}
					k, err := openDatabase(c.Context, env, c, forWriting)
					if err != nil {
						return err
					}
					defer k.close()
					id := args[0]
					if parts := strings.Split(id, "_"); len(parts) == 3 && parts[0] == "rpt" {
						id = parts[1] // the whole token was given
					}
					return k.db.RevokeToken(c.Context, id)
				},
			},
		},
	}
}

func runTokenCreate(env *Env, c *cli.Context) error {
	if _, err := arguments(c, 0, 0, ""); err != nil {
		return err
	}
	want := store.Token{Name: c.String("name"), Project: c.String("project")}
	for _, scope := range c.StringSlice("scope") {
		want.Scopes = append(want.Scopes, store.TokenScope(scope))
	}
	if len(want.Scopes) == 0 {
		return usageError("--scope append lets it add reports, --scope read lets it read", "say what the token may do")
	}
	if text := c.String("expires"); text != "" {
		life, err := lifetime(text)
		if err != nil {
			return err
		}
		want.Expires = schema.At(env.Now().Add(life))
	}
	k, err := openDatabase(c.Context, env, c, forWriting)
	if err != nil {
		return err
	}
	defer k.close()
	token, secret, err := k.db.CreateToken(c.Context, want)
	if err != nil {
		return err
	}
	fmt.Fprintln(env.Out, secret)
	env.say("token %s is shown this once", token.ID)
	return nil
}

// lifetime reads a duration such as 90d, 12h or 30m.
func lifetime(text string) (time.Duration, error) {
	unit, scale := text, time.Duration(1)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		unit, scale = days+"h", 24
	}
	d, err := time.ParseDuration(unit)
	if err != nil || d <= 0 || d > 100*365*24*time.Hour/scale {
		return 0, usageError("write it like 90d or 12h", "--expires %q is not a time from now", schema.Shorten(text, 40))
	}
	return d * scale, nil
}

func runTokenList(env *Env, c *cli.Context) error {
	if _, err := arguments(c, 0, 0, ""); err != nil {
		return err
	}
	k, err := openDatabase(c.Context, env, c, forReading)
	if err != nil {
		return err
	}
	defer k.close()
	all, err := k.db.Tokens(c.Context)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		if all == nil {
			all = []store.Token{}
		}
		return env.printJSON(all)
	}
	var rows [][]string
	for _, t := range all {
		var scopes []string
		for _, s := range t.Scopes {
			scopes = append(scopes, string(s))
		}
		state := "good"
		if !t.Good(env.Now()) {
			state = "expired"
			if !t.Revoked.IsZero() {
				state = "revoked"
			}
		}
		rows = append(rows, []string{t.ID, state, strings.Join(scopes, ","), t.Project, env.when(t.Created), t.Name})
	}
	env.table([]string{"TOKEN", "STATE", "SCOPES", "PROJECT", "CREATED", "NAME"}, rows)
	return nil
}
