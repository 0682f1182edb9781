package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/runpin/runpin/schema"
)

// TokenScope is something that the bearer of a token may do.
type TokenScope string

// The scopes. None includes another, but that admin includes all.
const (
	ScopeAppend TokenScope = "append" // add reports, their blobs, and beats; read nothing
	ScopeRead   TokenScope = "read"
	ScopeAdmin  TokenScope = "admin" // everything: erasure, check, statistics
)

// Token is what is known of a token once it has been handed out: everything but its secret.
type Token struct {
	ID      string       `json:"id"`
	Name    string       `json:"name,omitempty"`
	Scopes  []TokenScope `json:"scopes"`
	Project string       `json:"project,omitempty"` // the only project whose runs it is good for; "" for all
	Created schema.Time  `json:"created"`
	Expires schema.Time  `json:"expires,omitzero"`
	Revoked schema.Time  `json:"revoked,omitzero"`
}

// May reports whether the token has the scope.
func (t Token) May(scope TokenScope) bool {
	return slices.Contains(t.Scopes, scope) || slices.Contains(t.Scopes, ScopeAdmin)
}

// Good reports whether the token is accepted at a time: it has neither been revoked nor has it expired.
func (t Token) Good(now time.Time) bool {
	return t.Revoked.IsZero() && (t.Expires.IsZero() || now.Before(t.Expires.Time()))
}

// tokenForm is rpt_<id>_<secret>: a prefix that scanners for secrets know (recorder/redact), what names the token, and 260 random bits.
var tokenForm = regexp.MustCompile(`^rpt_([a-z2-7]{10})_[A-Z2-7]{52}$`)

// maxTokenName bounds what people write about a token.
const maxTokenName = 200

// CreateToken makes a token from the fields that a person chooses (name, scopes, project, expiry) and gives its secret, which is shown this once: the store
// keeps its SHA-256 alone, which is enough for a secret that cannot be guessed.
func (s *Store) CreateToken(ctx context.Context, t Token) (Token, string, error) {
	const op = "store.token"
	slices.Sort(t.Scopes)
	t.Scopes = slices.Compact(t.Scopes)
	var scopes []string
	for _, scope := range t.Scopes {
		if scope != ScopeAppend && scope != ScopeRead && scope != ScopeAdmin {
			return t, "", invalid(op, fmt.Sprintf("scope %q", schema.Shorten(string(scope), 40)), "the scopes are append, read and admin", "there is no such scope")
		}
		scopes = append(scopes, string(scope))
	}
	switch {
	case len(scopes) == 0:
		return t, "", invalid(op, "token", "the scopes are append, read and admin", "it is good for nothing")
	case t.Project != "" && t.May(ScopeAdmin):
		return t, "", invalid(op, "token", "give it append and read, or no project", "admin is not of one project")
	case len(t.Name) > maxTokenName || len(t.Project) > maxTokenName:
		return t, "", invalid(op, "token", "", "its name and its project have at most %d bytes", maxTokenName)
	}
	t.ID, t.Created, t.Revoked = strings.ToLower(rand.Text()[:10]), schema.At(s.options.Now()), schema.Time{}
	secret := "rpt_" + t.ID + "_" + rand.Text() + rand.Text()
	err := s.write(ctx, op, "token "+t.ID, func(x *tx) error {
		_, err := x.exec("INSERT INTO tokens (id, hash, scopes, project, name, created, expires, revoked) VALUES ($1, $2, $3, $4, $5, $6, $7, '')",
			t.ID, tokenHash(secret), strings.Join(scopes, " "), t.Project, t.Name, t.Created.String(), timeText(t.Expires))
		return err
	})
	if err != nil {
		return t, "", err
	}
	return t, secret, nil
}

func tokenHash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func timeText(t schema.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.String()
}

// Tokens lists the tokens, the newest first, those that are good no more included.
func (s *Store) Tokens(ctx context.Context) ([]Token, error) {
	var out []Token
	err := s.read(ctx, "store.token", "tokens", func(r *snapshot) (err error) {
		out, _, err = tokens(r, "1 = 1")
		return err
	})
	return out, err
}

// tokens gives those for which where holds, and their hashes.
func tokens(q querier, where string, args ...any) (out []Token, hashes []string, err error) {
	rows, err := q.query("SELECT id, hash, scopes, project, name, created, expires, revoked FROM tokens WHERE "+where+" ORDER BY created DESC, id", args...)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var t Token
		var hash, scopes, created, expires, revoked string
		if err := rows.Scan(&t.ID, &hash, &scopes, &t.Project, &t.Name, &created, &expires, &revoked); err != nil {
			return nil, nil, err
		}
		for _, scope := range strings.Fields(scopes) {
			t.Scopes = append(t.Scopes, TokenScope(scope))
		}
		for _, at := range []struct {
			text string
			dest *schema.Time
		}{{created, &t.Created}, {expires, &t.Expires}, {revoked, &t.Revoked}} {
			if at.text == "" {
				continue
			}
			if *at.dest, err = schema.ParseTime(at.text); err != nil {
				return nil, nil, internal("store.token", "token "+schema.Shorten(t.ID, 20), "a time of it is damaged: %w", err)
			}
		}
		out, hashes = append(out, t), append(hashes, hash)
	}
	return out, hashes, rows.Err()
}

// RevokeToken makes a token good no more. One that is revoked already stays so.
func (s *Store) RevokeToken(ctx context.Context, id string) error {
	const op = "store.token"
	subject := fmt.Sprintf("token %q", schema.Shorten(id, 40))
	return s.write(ctx, op, subject, func(x *tx) error {
		found, _, err := tokens(x, "id = $1", id)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return &schema.Error{Op: op, Kind: schema.NotFound, Subject: subject, Err: fmt.Errorf("no such token"), Hint: "`runpin serve token list` shows them"}
		}
		_, err = x.exec("UPDATE tokens SET revoked = $2 WHERE id = $1 AND revoked = ''", id, x.now.String())
		return err
	})
}

// FindToken gives the token that a secret belongs to, whether it is still good or not; ok is false when there is none.
func (s *Store) FindToken(ctx context.Context, secret string) (t Token, ok bool, err error) {
	form := tokenForm.FindStringSubmatch(secret)
	if form == nil {
		return Token{}, false, nil
	}
	err = s.read(ctx, "store.token", "token "+form[1], func(r *snapshot) error {
		found, hashes, err := tokens(r, "id = $1", form[1])
		if err == nil && len(found) == 1 && subtle.ConstantTimeCompare([]byte(hashes[0]), []byte(tokenHash(secret))) == 1 {
			t, ok = found[0], true
		}
		return err
	})
	return t, ok, err
}

// HasTokens reports whether any token is good now.
func (s *Store) HasTokens(ctx context.Context) (bool, error) {
	all, err := s.Tokens(ctx)
	now := s.options.Now()
	return slices.ContainsFunc(all, func(t Token) bool { return t.Good(now) }), err
}
