// Package delivery has the rules of delivery: what is sent and how it is signed, what a response means, and what happens
// next. It does no I/O of its own, so the rules are the same on every host and can run under virtual time.
package delivery

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const tokenPrefix = "whsec_"

// sign returns the webhook-signature of a body: "v1," and the base64 of the HMAC-SHA256 of "<id>.<seconds>.<body>", under the
// bytes that the token encodes (Standard Webhooks 1.0.0, section "Signature scheme").
func sign(token, id string, at time.Time, body []byte) (string, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(token, tokenPrefix))
	if err != nil {
		return "", fmt.Errorf("the webhook's token is not base64: %w", err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
}
