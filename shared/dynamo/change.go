package dynamo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// change is an update of one item, with the condition on which it depends.
type change struct {
	key           key
	sets, removes []string
	condition     string
	values        item
	returnsItem   bool // whether apply returns the item after the change
}

func changeOf(k key) *change { return &change{key: k, values: make(item)} }

// set sets an attribute, or an element of a list.
func (c *change) set(attribute string, value types.AttributeValue) {
	c.sets = append(c.sets, attribute+" = "+c.value(value))
}

// keep sets an attribute if it does not exist.
func (c *change) keep(attribute string, value types.AttributeValue) {
	c.sets = append(c.sets, fmt.Sprintf("%s = if_not_exists(%[1]s, %s)", attribute, c.value(value)))
}

func (c *change) remove(attributes ...string) { c.removes = append(c.removes, attributes...) }

// value returns the placeholder for a value.
func (c *change) value(value types.AttributeValue) string {
	name := fmt.Sprintf(":v%d", len(c.sets))
	c.values[name] = value
	return name
}

// count adds one to an attribute.
func (c *change) count(attribute string) {
	c.sets = append(c.sets, fmt.Sprintf("%s = %[1]s + %s", attribute, c.value(number(1))))
}

// require adds a condition with its values.
func (c *change) require(condition string, values item) {
	if c.condition != "" {
		condition = c.condition + " AND " + condition
	}
	c.condition = condition
	maps.Copy(c.values, values)
}

// waits makes the item wait, or not if where is empty.
func (c *change) waits(where, at string) {
	if where == "" {
		c.remove("#"+waitAttr, waitAt)
		return
	}
	c.set("#"+waitAttr, text(where))
	c.set(waitAt, text(at))
}

func (c *change) expression() string {
	expression := "SET " + strings.Join(c.sets, ", ")
	if len(c.removes) > 0 {
		expression += " REMOVE " + strings.Join(c.removes, ", ")
	}
	return expression
}

// write returns the change as a part of a transaction.
func (t *table) write(c *change) types.TransactWriteItem {
	return t.update(c.key, c.expression(), c.condition, c.values)
}

// apply makes a change and reports whether its condition was met. A change whose response is lost is repeated, and then recognized by
// its write ID: it does not fail because of itself.
func (t *table) apply(ctx context.Context, c *change) (after item, applied bool, err error) {
	id := newWriteID()
	c.set(writeAttr, id)
	u := t.write(c).Update
	in := &dynamodb.UpdateItemInput{
		TableName: u.TableName, Key: u.Key, UpdateExpression: u.UpdateExpression, ConditionExpression: u.ConditionExpression,
		ExpressionAttributeNames: u.ExpressionAttributeNames, ExpressionAttributeValues: u.ExpressionAttributeValues,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	if c.returnsItem {
		in.ReturnValues = types.ReturnValueAllNew
	}
	out, err := t.client.UpdateItem(ctx, in)
	if failed, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		return failed.Item, wroteLast(failed.Item, id), nil
	}
	if err != nil {
		return nil, false, t.failure(err)
	}
	return out.Attributes, true, nil
}

// newWriteID returns a value of [writeAttr].
func newWriteID() *types.AttributeValueMemberS {
	return &types.AttributeValueMemberS{Value: rand.Text()[:16]}
}

// wroteLast reports whether the last write of an item was the one with an ID.
func wroteLast(it item, id *types.AttributeValueMemberS) bool {
	last, ok := it[writeAttr].(*types.AttributeValueMemberS)
	return ok && last.Value == id.Value
}
