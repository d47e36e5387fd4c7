package bench

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const plainRole = "plain client"

// posting is an order to the plain client: to post a body to each of the URLs in turn.
type posting struct {
	CAFile            string
	URLs              []string
	Body              string
	Posts, Concurrent int
}

// posted is what the plain client reports.
type posted struct{ Error string }

// runPlain is a process that does with net/http what every sender of webhooks must do: sign a body as Standard Webhooks
// demands, post it, and read the response. It keeps connections for the next order.
func runPlain(orders *json.Decoder, reports *json.Encoder) error {
	p := &plain{secret: make([]byte, 32)}
	if _, err := rand.Read(p.secret); err != nil {
		return err
	}
	for {
		var order posting
		if err := orders.Decode(&order); err != nil {
			return err
		}
		var report posted
		if err := p.post(order); err != nil {
			report.Error = err.Error()
		}
		if err := reports.Encode(report); err != nil {
			return err
		}
	}
}

type plain struct {
	secret []byte
	client *http.Client
}

func (p *plain) post(order posting) error {
	if p.client == nil {
		authority, err := os.ReadFile(order.CAFile)
		if err != nil {
			return err
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(authority)
		p.client = &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: order.Concurrent, DisableCompression: true,
		}}
	}
	var next atomic.Int64
	var all sync.WaitGroup
	errs := make([]error, order.Concurrent)
	for worker := range order.Concurrent {
		all.Go(func() {
			for errs[worker] == nil {
				i := int(next.Add(1)) - 1
				if i >= order.Posts {
					return
				}
				errs[worker] = p.postOnce(order.URLs[i%len(order.URLs)], fmt.Sprintf("evt_%026d", i), order.Body)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (p *plain) postOnce(url, id, body string) error {
	request, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, p.secret)
	_, _ = io.WriteString(mac, id+"."+timestamp+"."+body)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Webhook-Id", id)
	request.Header.Set("Webhook-Timestamp", timestamp)
	request.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	response, err := p.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}
