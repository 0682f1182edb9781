package mlflow

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/runpin/runpin/schema"
)

// server is a tracking server, asked over MLflow's REST API 2.0. It is the one that the user's environment names, and the credentials are those that MLflow's own
// client would send it; they go to no other host and are never written down.
type server struct {
	base                  string // without user info, without a slash at the end
	token, user, password string
	client                *http.Client
}

const (
	maxAnswer      = 16 << 20
	maxPages       = 50
	pageSize       = 1000
	maxExperiments = 10_000
	maxFound       = 1000
)

func newServer(uri string, env map[string]string) (*server, error) {
	at, err := url.Parse(uri)
	if err != nil || at.Host == "" {
		return nil, errors.New("MLFLOW_TRACKING_URI is no URL of a server")
	}
	s := &server{token: env["MLFLOW_TRACKING_TOKEN"], user: env["MLFLOW_TRACKING_USERNAME"], password: env["MLFLOW_TRACKING_PASSWORD"]}
	if at.User != nil && s.user == "" {
		s.user = at.User.Username()
		s.password, _ = at.User.Password()
	}
	at.User, at.RawQuery, at.Fragment = nil, "", ""
	s.base = strings.TrimSuffix(at.String(), "/")
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if file := env["MLFLOW_TRACKING_SERVER_CERT_PATH"]; file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("MLFLOW_TRACKING_SERVER_CERT_PATH: %w", err)
		}
		settings.RootCAs = x509.NewCertPool()
		settings.RootCAs.AppendCertsFromPEM(pem)
	}
	settings.InsecureSkipVerify = env["MLFLOW_TRACKING_INSECURE_TLS"] == "true" // the user's own choice for this server
	s.client = &http.Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: settings, DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext, ForceAttemptHTTP2: true},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > 3 || req.URL.Host != at.Host || req.URL.Scheme != at.Scheme {
				return errors.New("the server sends the question elsewhere, which is not followed")
			}
			return nil
		},
	}
	return s, nil
}

// ask posts a question and reads the answer.
func (s *server) ask(ctx context.Context, what string, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+"/api/2.0/mlflow/"+what, bytes.NewReader(body))
	if err != nil {
		return errors.New("MLFLOW_TRACKING_URI is no URL of a server")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "runpin")
	if s.user != "" { // MLflow's client lets the user name stand over the token
		req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(s.user+":"+s.password)))
	} else if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // the URL is the user's, and says nothing new
		}
		return fmt.Errorf("MLflow's server: %w", err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("MLflow's server: %w", err)
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("MLflow's server answered %d to %s", resp.StatusCode, what)
	case len(content) > maxAnswer:
		return fmt.Errorf("MLflow's server answered more than %d bytes to %s", maxAnswer, what)
	}
	if err := json.Unmarshal(content, answer); err != nil {
		return fmt.Errorf("what answered to %s is not MLflow's server", what)
	}
	return nil
}

// tagged searches all experiments for the runs that name this one.
func (s *server) tagged(ctx context.Context, want schema.RunID) ([]Run, error) {
	defer s.client.CloseIdleConnections()
	var experiments []string
	for token, page := "", 0; page == 0 || token != "" && page < maxPages && len(experiments) < maxExperiments; page++ {
		question := map[string]any{"max_results": pageSize, "order_by": []string{"last_update_time DESC"}}
		if token != "" {
			question["page_token"] = token
		}
		var answer struct {
			Experiments []struct {
				ID string `json:"experiment_id"`
			} `json:"experiments"`
			Next string `json:"next_page_token"`
		}
		if err := s.ask(ctx, "experiments/search", question, &answer); err != nil {
			return nil, err
		}
		for _, e := range answer.Experiments {
			experiments = append(experiments, e.ID)
		}
		token = answer.Next
	}
	if len(experiments) == 0 {
		return nil, nil
	}
	var found []Run
	for token, page := "", 0; page == 0 || token != "" && page < maxPages && len(found) < maxFound; page++ {
		question := map[string]any{"experiment_ids": experiments, "filter": "tags.`" + TagRunID + "` = '" + string(want) + "'", "max_results": pageSize}
		if token != "" {
			question["page_token"] = token
		}
		var answer struct {
			Runs []restRun `json:"runs"`
			Next string    `json:"next_page_token"`
		}
		if err := s.ask(ctx, "runs/search", question, &answer); err != nil {
			return found, err
		}
		for _, r := range answer.Runs {
			if run := r.run(); runID.MatchString(run.ID) && run.Tags[TagRunID] == string(want) {
				found = append(found, run)
			}
		}
		token = answer.Next
	}
	return found, nil
}

// restRun is a run as the server writes it (protobuf's JSON form: 64-bit numbers may be strings, and NaN and infinities are).
type restRun struct {
	Info struct {
		ID    string     `json:"run_id"`
		UUID  string     `json:"run_uuid"`
		Start restNumber `json:"start_time"`
	} `json:"info"`
	Data struct {
		Metrics []struct {
			Key       string     `json:"key"`
			Value     restNumber `json:"value"`
			Step      restNumber `json:"step"`
			Timestamp restNumber `json:"timestamp"`
		} `json:"metrics"`
		Tags []struct{ Key, Value string } `json:"tags"`
	} `json:"data"`
}

// restNumber is a number in either form, as text.
type restNumber string

// UnmarshalJSON takes a number or a string.
func (n *restNumber) UnmarshalJSON(b []byte) error {
	*n = restNumber(strings.Trim(string(b), `"`))
	return nil
}

func (r restRun) run() Run {
	run := Run{ID: r.Info.ID, Start: millis(string(r.Info.Start)), Metrics: map[string]Metric{}, Tags: map[string]string{}}
	if run.ID == "" {
		run.ID = r.Info.UUID
	}
	for _, t := range r.Data.Tags {
		run.Tags[t.Key] = t.Value
	}
	for _, m := range r.Data.Metrics {
		line := string(orZero(m.Timestamp)) + " " + string(orZero(m.Value)) + " " + string(orZero(m.Step))
		value, err := metricLine(line)
		if err != nil || math.IsNaN(value.Value) && m.Value == "" {
			run.Problems = append(run.Problems, unreadable("metrics/"+schema.Shorten(m.Key, 250), errors.New("it is no number")))
			continue
		}
		run.Metrics[m.Key] = value
	}
	return run
}

// orZero: protobuf leaves a zero out.
func orZero(n restNumber) restNumber {
	if n == "" || n == "null" {
		return "0"
	}
	return n
}
