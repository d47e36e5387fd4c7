package stack

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Prices in US dollars, as docs/deploy.md gives them.
const (
	perRequest      = 1.00 / 1e6 // HTTP API
	perCall         = 0.20 / 1e6 // Lambda
	perGBSecond     = 0.0000133334
	perReadUnit     = 0.125 / 1e6
	perWriteUnit    = 0.625 / 1e6
	perLogByte      = 0.50 / 1e9
	perAlarmMetric  = 0.10 // a month
	perDashboard    = 3.00
	perKey          = 1.00
	logBytes        = 1500 // of a request
	itemsOfList     = 10
	itemBytes       = 1024
	readUnitBytes   = 4096.0
	unitsOfWrite    = 2 // of each item in a transaction
	unitsOfAPIKey   = 1
	defaultMemoryGB = 0.5
)

// kindOfRequest is a row of the first table.
type kindOfRequest struct {
	name         string
	counted      []string // rows of TestCalls in shared/dynamo
	milliseconds float64  // assumed
	share        float64  // in the mix
}

func kindsOfRequests() []kindOfRequest {
	return []kindOfRequest{
		{"get a webhook", []string{"get"}, 8, 0.70},
		{fmt.Sprintf("list of %d webhooks", itemsOfList), []string{"first page, not full"}, 12, 0.15},
		{"list of event types", []string{"a company's types"}, 8, 0.10},
		{"create, with one event", []string{"prepare with one event", "create with one event"}, 120, 0.04},
		{"delete, with one event", []string{"delete with one event"}, 15, 0.01},
	}
}

// calls gives what TestCalls asserts of a row, such as "GetItem 1".
func calls(t *testing.T, row string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "shared/dynamo/calls_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`\{` + regexp.QuoteMeta(strconv.Quote(row)) + `, .*, "([A-Za-z0-9, ]+)", 0\}`).FindStringSubmatch(string(text))
	if found == nil {
		t.Fatalf("TestCalls has no row %q", row)
	}
	return strings.Split(found[1], ", ")
}

// units gives the read and write units of calls.
func units(t *testing.T, calls []string) (read, write float64) {
	t.Helper()
	for _, call := range calls {
		operation, count, _ := strings.Cut(call, " ")
		n, err := strconv.ParseFloat(count, 64)
		if err != nil {
			t.Fatal(err)
		}
		switch operation {
		case "GetItem", "BatchGetItem": // also what there is not is a unit
			read += n
		case "Query":
			read++
		case "TransactWriteItems":
			write += unitsOfWrite * n
		default:
			t.Fatalf("what %s costs is not known here", operation)
		}
	}
	return read, write
}

// requestRow is a row of the first table, and what one such request costs, by services.
func requestRow(t *testing.T, k kindOfRequest) (row string, api, lambda, dynamoDB, logs float64) {
	t.Helper()
	var all []string
	for _, name := range k.counted {
		all = append(all, calls(t, name)...)
	}
	read, write := units(t, all)
	shown := strings.Join(all, ", ")
	if strings.HasPrefix(k.name, "list of 10") { // the test's list is shorter than what is assumed here
		read += math.Ceil(itemsOfList*itemBytes/readUnitBytes) - 1
		shown = fmt.Sprintf("GetItem 1, Query %d", itemsOfList)
	}
	read += unitsOfAPIKey
	api, logs = perRequest, logBytes*perLogByte
	lambda = perCall + k.milliseconds/1000*defaultMemoryGB*perGBSecond
	dynamoDB = read*perReadUnit + write*perWriteUnit
	row = fmt.Sprintf("| %s | %s | %.0f | %.0f | %.0f | %.2f |", k.name, shown, read, write, k.milliseconds, 1e6*(api+lambda+dynamoDB+logs))
	return row, api, lambda, dynamoDB, logs
}

// fixed is what the stack costs a month when nobody calls.
func fixed(t *testing.T) float64 {
	t.Helper()
	metrics := 0
	for _, a := range alarms(t, deploy(t, source(t), nil)) {
		metrics += len(a.metrics())
	}
	return perKey + perDashboard + perAlarmMetric*float64(metrics)
}

// The sums in the guide are those of its prices, of the calls that tests count, and of the template.
func TestGuideCosts(t *testing.T) {
	var requests, months []string
	var api, lambda, dynamoDB, logs float64 // of a request of the mix
	for _, k := range kindsOfRequests() {
		row, a, l, d, g := requestRow(t, k)
		requests = append(requests, row)
		api, lambda, dynamoDB, logs = api+k.share*a, lambda+k.share*l, dynamoDB+k.share*d, logs+k.share*g
	}
	idle := fixed(t)
	for _, n := range []struct {
		name  string
		count float64
	}{{"none", 0}, {"1,000", 1e3}, {"1 million", 1e6}, {"100 million", 1e8}} {
		sum := n.count*(api+lambda+dynamoDB+logs) + idle
		months = append(months, fmt.Sprintf("| %s | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f |",
			n.name, n.count*api, n.count*lambda, n.count*dynamoDB, n.count*logs, idle, sum))
	}
	compareTable(t, "requests", requests)
	compareTable(t, "months", months)
}

// compareTable compares the rows between the marks of a table in the guide.
func compareTable(t *testing.T, name string, want []string) {
	t.Helper()
	_, rest, ok := strings.Cut(deployGuide(t), "<!-- costs: "+name+" -->\n")
	table, _, closed := strings.Cut(rest, "<!-- /costs -->")
	if !ok || !closed {
		t.Fatalf("the guide has no table of costs %q", name)
	}
	lines := strings.Split(strings.TrimSpace(table), "\n")
	if got := strings.Join(lines[min(2, len(lines)):], "\n"); got != strings.Join(want, "\n") {
		t.Errorf("the table %q is\n%s\nand should be\n%s", name, got, strings.Join(want, "\n"))
	}
}
