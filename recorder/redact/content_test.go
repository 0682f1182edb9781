package redact

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

var generated = strings.Repeat("aB3dE5gH7", 5)

func TestContent(t *testing.T) {
	for name, c := range map[string]struct{ text, finding string }{
		"python":               {"import os\ntoken = tokenizer.decode(x)\npassword = os.environ['PASSWORD']\nkey = jax.random.PRNGKey(0)\nAPI_KEY: str = None\n", ""},
		"python weak literal":  {"password = 'changeme'\n", ""},
		"python reference":     {"wandb.login(key=os.environ[\"WANDB_API_KEY\"])\nHF_TOKEN=os.getenv('HF_TOKEN')\n", ""},
		"python generated":     {"api_key = \"" + generated + "\"\n", "env api_key"},
		"python dict":          {"{\"api_key\": \"" + generated + "\"}\n", "env api_key"},
		"token in a comment":   {"# gh auth: ghp_" + generated + "\n", "github_token"},
		"private key":          {"x\n-----BEGIN RSA PRIVATE" + " KEY-----\nMII\n", "private_key"},
		"public key":           {"-----BEGIN PUBLIC KEY-----\nMII\n-----BEGIN CERTIFICATE-----\n", ""},
		"url":                  {"git clone https://bot:" + generated + "@example.com/x\n", "url"},
		"url in documents":     {"postgres://user:password@localhost/db and http://$USER:$PASS@h and https://{u}:{p}@h\n", ""},
		"netrc":                {"machine api.wandb.ai\n  login user\n  password hunter2\n", "netrc"},
		"netrc on a line":      {"machine h login u password hunter2\n", "netrc"},
		"no netrc":             {"the machine has a password policy\nmachine learning password\n", ""},
		"dotenv":               {"# local\nDEBUG=1\nDB_PASSWORD=hunter2\n", "env DB_PASSWORD"},
		"dotenv references":    {"DEBUG=1\nDB_PASSWORD=${DB_PASSWORD}\nHF_TOKEN=\n", ""},
		"dotenv harmless":      {"MAX_TOKENS=5\nTOKENIZERS_PARALLELISM=false\nexport OMP_NUM_THREADS=4\n", ""},
		"shell":                {"#!/bin/sh\nset -e\nexport WANDB_API_KEY=" + generated + "\npython train.py\n", "env WANDB_API_KEY"},
		"k8s secret":           {"apiVersion: v1\nkind: Secret\nmetadata: {name: x}\ndata:\n  a: aHVudGVyMg==\n", "kubernetes-secret"},
		"k8s secret json":      {`{"apiVersion":"v1","kind":"Secret","data":{"a":"aHVudGVyMg=="}}`, "kubernetes-secret"},
		"k8s secret ref":       {"kind: Pod\nspec:\n  volumes:\n  - secret: {secretName: x}\n---\nkind: ConfigMap\ndata:\n  a: b\n", ""},
		"k8s env literal":      {"kind: Pod\nspec:\n  containers:\n  - env:\n    - name: WANDB_API_KEY\n      value: hunter2\n", "env WANDB_API_KEY"},
		"k8s env flow":         {"kind: Pod\nspec:\n  containers:\n  - env: \n    - {name: WANDB_API_KEY, value: hunter2}\n", "env WANDB_API_KEY"},
		"k8s env from":         {"apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - env:\n    - name: WANDB_API_KEY\n      valueFrom:\n        secretKeyRef: {name: wandb, key: api-key}\n    - name: N\n      value: '5'\n", ""},
		"k8s env harmless":     {"apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: token-server\n    env:\n    - name: MAX_TOKENS\n      value: \"512\"\n", ""},
		"k8s args":             {"apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - command: [python, train.py, --api-key=hunter2]\n", "env api-key"},
		"compose":              {"services:\n  t:\n    environment:\n      WANDB_API_KEY: hunter2\n", "env WANDB_API_KEY"},
		"compose interpolated": {"services:\n  t:\n    environment:\n      WANDB_API_KEY: ${WANDB_API_KEY}\n      HF_TOKEN: \"{{ token }}\"\n", ""},
		"sbatch":               {"#!/bin/bash\n#SBATCH --gpus 1\nexport HF_TOKEN=hunter2\n", "env HF_TOKEN"},
		"workflow":             {"on: push\njobs:\n  t:\n    env:\n      HF_TOKEN: ${{ secrets.HF_TOKEN }}\n", ""},
		"yaml settings":        {"tokenizer: gpt2\npad_token: <pad>\nmax_tokens: 5\nsort_key: len\n", ""},
		"empty":                {"", ""},
		"binary":               {string(bytes.Repeat([]byte{0, 255, 61, 58, 10, 64}, 1000)), ""},
	} {
		finding, found := Content([]byte(c.text))
		if finding != c.finding || found != (c.finding != "") {
			t.Errorf("%s: found %q, want %q", name, finding, c.finding)
		}
	}
	if _, found := JobSpec([]byte("spec:\n  token: hunter2\n")); !found {
		t.Error("in a job spec any literal under a secret name counts")
	}
}

// FuzzArgv plants credentials in whatever the fuzzer finds: none may come out, and the result restores to the input.
func FuzzArgv(f *testing.F) {
	for _, s := range []string{"train.py --lr 1", "sh -c 'a=b; c --token d'", "--token\nx", "{\"a\": {\"b\": 1}}", "<withheld:a>\n<withheld:a_2>", "curl -u\na:b", "$($($(", "a=b=c=d", "\"'\\"} {
		f.Add(s, uint8(0))
	}
	planted := []string{
		"ghp_" + generated, "AKIA" + "ABCDEFGH23456723", "hf_" + generated, "https://user:" + generated + "@h/x", "glpat-" + generated, "sk-" + generated,
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0." + generated, "npm_" + generated, "xoxb-" + generated,
	}
	f.Fuzz(func(t *testing.T, s string, which uint8) {
		argv := strings.Split(s, "\n")
		kept, withheld := Argv(argv)
		if len(kept) != len(argv) {
			t.Fatalf("%q became %q", argv, kept)
		}
		secrets := map[string]string{}
		for i := range kept {
			if kept[i] != argv[i] {
				name, ok := placeholderName(kept[i])
				if _, twice := secrets[name]; !ok || twice {
					t.Fatalf("argument %d became %q", i, kept[i])
				}
				secrets[name] = argv[i]
			}
		}
		if len(secrets) != len(withheld) {
			t.Fatalf("%d withheld, %d listed", len(secrets), len(withheld))
		}
		if back, err := Restore(kept, withPlaceholders(kept, secrets)); err != nil || !slices.Equal(back, argv) {
			t.Fatalf("%q restored to %q: %v", argv, back, err)
		}
		if again, more := Argv(kept); !slices.Equal(again, kept) || len(more) > 0 {
			t.Fatalf("%q: a second time %q", kept, again)
		}
		secret := planted[int(which)%len(planted)]
		kept, _ = Argv(append(argv, s+" "+secret+" "+s))
		for i, a := range kept {
			if strings.Contains(a, secret) && !strings.Contains(s, secret) {
				t.Fatalf("%q survives in argument %d", secret, i)
			}
		}
	})
}

func FuzzContent(f *testing.F) {
	for _, s := range []string{"kind: Secret\ndata:\n", "a=b\n", "- {name: A, value: b}", "machine a login b password c", "x://y:z@w", "Authorization: Bearer abcdefghij"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		Content(b)
		JobSpec(b)
		if !bytes.Equal(b, before) {
			t.Fatal("the input was changed")
		}
		if _, found := Content(append(append([]byte{}, b...), "\n ghp_"+generated+"\n"...)); !found {
			t.Fatal("a planted token was not found")
		}
	})
}

func BenchmarkArgv(b *testing.B) {
	argv := strings.Fields("torchrun --nproc_per_node 8 --rdzv_endpoint=node0:29400 train.py --lr 1e-4 --batch-size 32 --epochs 10 --data ./data --tokenizer gpt2 --max_new_tokens 5")
	for b.Loop() {
		Argv(argv)
	}
}

func BenchmarkContent(b *testing.B) {
	text := bytes.Repeat([]byte("    loss = criterion(model(x), y)  # per token loss: see https://example.com/a?b=c\n    tokens = tokenizer(batch, max_length=512)\n"), 8000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if f, found := Content(text); found {
			b.Fatal(f)
		}
	}
}
