package dynamo

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// reader reads the attributes of an item and records an error for the first one that is missing or invalid.
type reader struct {
	item item
	err  error
}

func (r *reader) text(name string) string {
	v, ok := r.item[name].(*types.AttributeValueMemberS)
	if !ok {
		r.fail(name)
		return ""
	}
	return v.Value
}

// textAfter reads a text that must have a prefix, and returns the rest.
func (r *reader) textAfter(name, prefix string) string {
	rest, ok := strings.CutPrefix(r.text(name), prefix)
	if !ok {
		r.fail(name)
	}
	return rest
}

func (r *reader) binary(name string) []byte {
	v, ok := r.item[name].(*types.AttributeValueMemberB)
	if !ok {
		r.fail(name)
		return nil
	}
	return v.Value
}

// fill reads a binary value that must have the length of to.
func (r *reader) fill(to []byte, name string) {
	if value := r.binary(name); copy(to, value) != len(to) || len(value) != len(to) {
		r.fail(name)
	}
}

func (r *reader) number(name string) int64 {
	v, ok := r.item[name].(*types.AttributeValueMemberN)
	if !ok {
		r.fail(name)
		return 0
	}
	n, err := strconv.ParseInt(v.Value, 10, 64)
	if err != nil {
		r.fail(name)
	}
	return n
}

func (r *reader) moment(name string) time.Time { return time.UnixMilli(r.number(name)).UTC() }

// momentIfAny reads an optional time. It returns the zero time if there is none.
func (r *reader) momentIfAny(name string) time.Time {
	if !r.has(name) {
		return time.Time{}
	}
	return r.moment(name)
}

func (r *reader) has(name string) bool {
	_, ok := r.item[name]
	return ok
}

// readTexts reads a list of texts.
func readTexts[T ~string](r *reader, name string) []T {
	list, ok := r.item[name].(*types.AttributeValueMemberL)
	if !ok {
		r.fail(name)
		return nil
	}
	values := make([]T, len(list.Value))
	for i := range list.Value {
		v, ok := list.Value[i].(*types.AttributeValueMemberS)
		if !ok {
			r.fail(name)
			return nil
		}
		values[i] = T(v.Value)
	}
	return values
}

// fail names the attribute but not its value.
func (r *reader) fail(name string) {
	if r.err == nil {
		r.err = internal(fmt.Errorf("an item of the table is damaged: its attribute %q is missing or has the wrong type", name))
	}
}

// waitTime reads the time that an item waits for.
func waitTime(r *reader) time.Time {
	millis, err := strconv.ParseInt(r.text(waitAt), 10, 64)
	if err != nil {
		r.fail(waitAt)
	}
	return time.UnixMilli(millis).UTC()
}
