package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/runpin/runpin/schema"
	storehttp "github.com/runpin/runpin/store/http"
)

var _ runStore = (*storehttp.Client)(nil)

// httpStore is the row of the table of stores for one behind `runpin serve`.
func httpStore() storeKind {
	return storeKind{prefixes: []string{"https://", "http://"}, locate: func(location string) (string, error) {
		return storehttp.ParseURL(location, true) // whether http:// will do is judged when it is opened, with the settings
	}, open: openHTTP}
}

const maxTokenFile = 4 << 10

// storeToken is what lets this process in: from the environment or from a file, never from the command line or an address, which others can see.
func storeToken(env *Env) (string, error) {
	if token := env.Getenv("RUNPIN_TOKEN"); token != "" {
		return token, nil
	}
	path := env.Getenv("RUNPIN_TOKEN_FILE")
	if path == "" {
		return "", nil
	}
	data, err := readSmall(path, maxTokenFile)
	if err != nil {
		return "", &schema.Error{Op: "store", Kind: schema.Invalid, Subject: "RUNPIN_TOKEN_FILE", Err: err, Hint: "name a file that holds a token and nothing else"}
	}
	return strings.TrimSpace(string(data)), nil
}

func openHTTP(_ context.Context, env *Env, location string, _ access) (*keptRuns, error) {
	token, err := storeToken(env)
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(token, " \t\r\n") {
		return nil, &schema.Error{Op: "store", Kind: schema.Invalid, Subject: "the token", Err: fmt.Errorf("it holds more than one word"), Hint: "look at RUNPIN_TOKEN and RUNPIN_TOKEN_FILE"}
	}
	client, err := storehttp.Open(location, storehttp.ClientOptions{Token: token, CAFile: env.Getenv("RUNPIN_CA_FILE"), Insecure: env.Getenv("RUNPIN_INSECURE_STORE") == "1",
		Budget: duration(env, "RUNPIN_RETRY_BUDGET"), Version: version})
	if err != nil {
		return nil, err
	}
	return &keptRuns{runStore: client, location: location}, nil
}
