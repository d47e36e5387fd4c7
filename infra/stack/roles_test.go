package stack

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/oklog/ulid/v2"

	"webhooks/infra/bootstrap"
	"webhooks/infra/gateway"
	"webhooks/shared/access"
	"webhooks/shared/dynamo"
	"webhooks/shared/dynamo/dynamotest"
	"webhooks/shared/webhook"
)

// motoEndpoint gives the URL of a moto server.
func motoEndpoint(t testing.TB) string {
	t.Helper()
	return required(t, "WEBHOOKS_TEST_MOTO_ENDPOINT", "a moto server, such as infra/moto/moto starts")
}

// Every function, built as it is deployed, does all that it can do under its role's own policies,
// which an enforcer evaluates on each of its requests: nothing is denied, and there is no action, no
// resource and no key in a policy that was not of use.
func TestFunctionsUnderTheirRoles(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("functions are built for Linux, and run there alone")
	}
	w := newWorld(t)
	server := httptest.NewServer(w)
	defer server.Close()
	w.useEverything(t, server.URL)
	// Another process finds the data key that the first one made.
	w.functions["create-webhook"].Stop()
	w.call(t, server.URL, http.StatusCreated, http.MethodPost, "/webhooks", creation, "Idempotency-Key", "first")

	for name, e := range w.enforcers {
		if e.denied != nil {
			t.Errorf("%s was denied %v", name, e.denied)
		}
		for _, s := range e.statements {
			for _, use := range uses(s) {
				if problem := e.tooMuch(use); problem != "" {
					t.Errorf("the role of %s, %v: %s", name, use, problem)
				}
			}
		}
	}
}

// families are the kinds of partitions that the table has, in patterns of IAM.
func families() []string {
	return []string{"K#*", "C#*", "C#*#E#*", "C#*#I#*", "C#*#TYPES", "TYPES", "DATAKEYS"}
}

// tooMuch says why a use should not be in the policy as it is, or nothing.
func (e *enforcer) tooMuch(u use) string {
	values, ok := e.used[u]
	switch {
	case strings.HasPrefix(u.action, "logs:"):
		return "" // it is Lambda that writes the logs
	case !ok:
		return "it is never needed"
	case u.key == "":
		return "nothing is asked for besides, neither leading keys nor an encryption context"
	case u.key != "dynamodb:LeadingKeys":
		return ""
	case !slices.Contains(families(), u.pattern):
		return fmt.Sprintf("the pattern is none of %q", families())
	}
	for _, narrower := range families() {
		if narrower != u.pattern && like(u.pattern, narrower) && !slices.ContainsFunc(values, func(v string) bool { return !like(narrower, v) }) {
			return "all it is needed for is " + narrower
		}
	}
	return ""
}

// world is the functions behind a gateway, each with an enforcer of its role before its AWS.
type world struct {
	http.Handler
	functions map[string]*gateway.Function
	enforcers map[string]*enforcer
	key       string // API key of the company acme
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dynamoDB, moto := dynamotest.Endpoint(t), motoEndpoint(t)
	stack := deploy(t, source(t), nil)
	stack.values["AWS::StackName"] = "test-" + ulid.Make().String()
	tokenKey := newTokenKey(t, moto)
	stack.attribute = func(id, attribute string) any {
		if id == "TokenKey" && attribute == "Arn" {
			return tokenKey
		}
		return stack.named(id, attribute)
	}
	w := &world{functions: make(map[string]*gateway.Function), enforcers: make(map[string]*enforcer)}
	store := newTable(t, stack.ref("SubscriptionsTable").(string))
	w.key = newKey(t, store)
	invokers := make(map[string]gateway.Invoker)
	for name, id := range functionIDs(t, stack.template) {
		e := newEnforcer(t, map[string]string{dynamoDBService: dynamoDB, kmsService: moto},
			stack.role(roleOf(stack, id)).statements(), func(string) string { return "SubscriptionsTable.Arn" })
		w.enforcers[name] = e
		settings := stack.variables(id)
		settings["WEBHOOKS_DYNAMODB_ENDPOINT"] = e.URL
		if _, ok := settings["WEBHOOKS_KMS_ENDPOINT"]; ok {
			settings["WEBHOOKS_KMS_ENDPOINT"] = e.URL
			settings["WEBHOOKS_TLS_CHECK"] = "off" // there is no public host to create a webhook for
		}
		w.functions[name] = gateway.NewFunction(gateway.Config{
			Name: name, Bootstrap: program(t, name), Settings: settings, Timeout: 15 * time.Second, Concurrency: 1, Output: io.Discard,
		})
		t.Cleanup(w.functions[name].Stop)
		invokers[name] = w.functions[name]
	}
	w.Handler = gateway.New(invokers, time.Now)
	return w
}

// program builds a function for this machine.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := bootstrap.Build(t.Context(), name, bootstrap.Native(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func newTokenKey(t *testing.T, endpoint string) (arn string) {
	t.Helper()
	client := kms.New(kms.Options{
		Region: "eu-west-1", BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
	made, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	return *made.KeyMetadata.Arn
}

// newKey makes an API key of acme, and the event types to subscribe to, as an operator does.
func newKey(t *testing.T, store *dynamo.Store) string {
	t.Helper()
	secret, err := access.NewSecret(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := access.HashSecret(secret)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	err = store.CreateKey(t.Context(), access.Key{
		ID: access.NewKeyID("acme", ulid.Make().String()), Company: "acme", Permissions: access.Permissions(), Hash: hash, CreatedAt: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, company := range []string{"", "acme"} {
		if err := store.AddEventType(t.Context(), webhook.EventType{Name: "a" + company, Company: company, AddedAt: now}); err != nil {
			t.Fatal(err)
		}
	}
	return secret
}

const creation = `{"webhook":{"name":"n","url":"https://example.com/","events":["a","aacme"]}}`

// useEverything calls every route, on each of the ways that the store knows.
func (w *world) useEverything(t *testing.T, url string) {
	t.Helper()
	w.call(t, url, http.StatusOK, http.MethodGet, "/webhooks/types", "")
	first := w.call(t, url, http.StatusCreated, http.MethodPost, "/webhooks", creation, "Idempotency-Key", "first")
	again := w.call(t, url, http.StatusCreated, http.MethodPost, "/webhooks", creation, "Idempotency-Key", "first")
	if first != again {
		t.Errorf("a repeated creation made %s after %s", again, first)
	}
	second := w.call(t, url, http.StatusCreated, http.MethodPost, "/webhooks", creation)
	third := w.call(t, url, http.StatusCreated, http.MethodPost, "/webhooks", creation)
	w.call(t, url, http.StatusOK, http.MethodGet, "/webhooks", "")
	w.call(t, url, http.StatusOK, http.MethodGet, "/webhooks?size=1&page=3", "")
	w.call(t, url, http.StatusOK, http.MethodGet, first, "")
	w.call(t, url, http.StatusOK, http.MethodGet, "/webhook?webhookId="+second[len("/webhooks/"):], "")
	w.call(t, url, http.StatusOK, http.MethodDelete, third, "")
	w.call(t, url, http.StatusNotFound, http.MethodDelete, "/webhook?webhookId="+third[len("/webhooks/"):], "")
	w.call(t, url, http.StatusOK, http.MethodDelete, "/webhooks?webhookId="+second[len("/webhooks/"):], "")
}

// call makes a request, and gives the Location of what it made.
func (w *world) call(t *testing.T, url string, want int, method, path, body string, header ...string) (location string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+w.key)
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != want {
		t.Fatalf("%s %s: %v %s, error %v, want %d; denied: %v", method, path, response.StatusCode, said, err, want, w.denied())
	}
	return response.Header.Get("Location")
}

func (w *world) denied() string {
	var all []string
	for name, e := range w.enforcers {
		e.mu.Lock()
		for _, what := range e.denied {
			all = append(all, fmt.Sprintf("%s: %s", name, what))
		}
		e.mu.Unlock()
	}
	return strings.Join(all, "; ")
}
