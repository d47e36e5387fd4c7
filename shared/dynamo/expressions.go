package dynamo

import "strings"

// All expressions, with the values that they take. Attribute names that are reserved words of DynamoDB are written as
// placeholders: #name stands for the attribute name, see [names].
const (
	// Conditions on keys, of queries: [valPartition], and [valPrefix] for the second.
	inPartition  = partitionKey + " = " + valPartition
	withinPrefix = inPartition + " AND begins_with(" + sortKey + ", " + valPrefix + ")"

	isNew  = "attribute_not_exists(" + partitionKey + ")"
	exists = "attribute_exists(" + partitionKey + ")"

	// Webhooks: [valVersion]. The counter: [valChange], [valQuota]; a company's first webhook creates it.
	isUnchanged     = versionAttr + " = " + valVersion
	count           = "ADD " + webhooksAttr + " " + valChange
	isBelowQuota    = webhooksAttr + " < " + valQuota
	isBelowAnyQuota = "attribute_not_exists(" + webhooksAttr + ") OR " + isBelowQuota

	// Idempotency records: [valNow].
	isNewOrExpired = isNew + " OR " + expiresAtAttr + " <= " + valNow

	// Event types: [valDescription], [valHidden].
	isNewOrHidden = isNew + " OR attribute_exists(" + hiddenAttr + ")"
	isVisible     = exists + " AND attribute_not_exists(" + hiddenAttr + ")"
	hide          = "SET " + hiddenAttr + " = " + valHidden
	describe      = "SET " + descriptionAttr + " = " + valDescription

	// API keys: [valTime], [valDay].
	revokeOnce = "SET " + revokedAtAttr + " = if_not_exists(" + revokedAtAttr + ", " + valTime + ")"
	setLastUse = "SET " + lastUsedOnAttr + " = " + valDay
	isUnusedOn = exists + " AND (attribute_not_exists(" + lastUsedOnAttr + ") OR " + lastUsedOnAttr + " < " + valDay + ")"

	// Events: [valNow], in seconds. Pages: [valExpiry], which is different for an earlier event with the same ID.
	isNewOrOver    = isNew + " OR #" + ttlAttr + " <= " + valNow
	isNewOrEarlier = isNew + " OR #" + ttlAttr + " < " + valExpiry

	// Deliveries: [valMade], and [valStatus] for isOpen.
	isMade      = madeAttr + " = " + valMade
	isMadeOrNew = "(attribute_not_exists(" + madeAttr + ") OR " + isMade + ")"
	isOpen      = "(attribute_not_exists(#" + statusAttr + ") OR #" + statusAttr + " = " + valStatus + ")"

	// Lanes: [valRevision]. Everything that waits: [valWait], [valWaitAt].
	isRevision = revisionAttr + " = " + valRevision
	isGoneOr   = isNew + " OR " + isRevision
	stillWaits = "#" + waitAttr + " = " + valWait + " AND " + waitAt + " = " + valWaitAt
	waitsAfter = "#" + waitAttr + " = " + valWait + " AND " + waitAt + " > " + valWaitAt
	waitsUntil = "#" + waitAttr + " = " + valWait + " AND " + waitAt + " <= " + valWaitAt

	// Sort keys from [valFirst] to [valLast], both included.
	inRange = inPartition + " AND " + sortKey + " BETWEEN " + valFirst + " AND " + valLast
)

// Projections, which list the attributes to read: all, the count, or those of a webhook except its token.
const (
	allAttributes = ""
	onlyCount     = webhooksAttr
	// onlyKeysAndCount is what a scan needs to tell items apart.
	onlyKeysAndCount = partitionKey + ", " + sortKey + ", " + webhooksAttr
	withoutToken     = sortKey + ", #" + nameAttr + ", " + descriptionAttr + ", #" + urlAttr + ", " + eventsAttr + ", " +
		versionAttr + ", " + createdAtAttr

	keysOnly     = partitionKey + ", " + sortKey
	waitOnly     = keysOnly + ", " + waitAt
	versionOnly  = keysOnly + ", " + versionAttr
	madeOnly     = keysOnly + ", " + madeAttr
	typeIsHidden = keysOnly + ", " + hiddenAttr
	// whatToSend is what an attempt needs of a webhook.
	whatToSend = versionOnly + ", #" + urlAttr + ", " + sealedTokenAttr

	eventAttributes = keysOnly + ", #" + typeAttr + ", #" + keyAttr + ", #" + timestampAttr + ", " + acceptedAtAttr + ", " + bodyAttr + ", " +
		deflatedAttr + ", #" + ttlAttr
	// listAttributes are those of an event or a page that do not depend on its size.
	listAttributes = keysOnly + ", #" + typeAttr + ", " + acceptedAtAttr + ", " + webhooksAttr + ", " + moreAttr + ", #" + ttlAttr
	sentAttributes = listAttributes + ", " + sentAttr + ", " + writeAttr
	laneAttributes = keysOnly + ", " + versionAttr + ", " + revisionAttr + ", " + failuresAttr + ", " + firstFailureAttr + ", " + failingSinceAttr +
		", " + probeAtAttr + ", " + probesAttr + ", " + pausedUntilAttr + ", " + disabledReasonAttr + ", " + heldBeforeAttr + ", " +
		slowUntilAttr + ", " + waitAt + ", " + idleAttr
	// waitingAttributes are those of lanes and of deliveries, except for attempts.
	waitingAttributes = laneAttributes + ", " + eventIDAttr + ", #" + typeAttr + ", " + acceptedAtAttr + ", #" + statusAttr + ", " + stepAttr + ", " +
		madeAttr + ", " + dueAttr + ", " + grantedAttr + ", #" + waitAttr + ", #" + ttlAttr
	// deliveryAttributes are those of lanes and of deliveries with their attempts.
	deliveryAttributes = waitingAttributes + ", " + attemptsAttr + ", #" + responseAttr
	// workAttributes are those of lanes, of deliveries without their attempts, and of events.
	workAttributes = waitingAttributes + ", #" + keyAttr + ", #" + timestampAttr + ", " + bodyAttr + ", " + deflatedAttr + ", " +
		webhooksAttr + ", " + moreAttr
)

// projected returns the expression for a projection and the names behind its placeholders.
func projected(projection string) (expression *string, placeholders map[string]string) {
	if projection == allAttributes {
		return nil, nil
	}
	return &projection, names(projection)
}

// names returns the attribute names behind the placeholders in expressions, or nil if there are none.
func names(expressions ...string) map[string]string {
	var found map[string]string
	for _, expression := range expressions {
		for _, rest := range strings.Split(expression, "#")[1:] {
			name := rest
			if end := strings.IndexFunc(rest, func(c rune) bool { return c != '_' && (c < 'a' || c > 'z') }); end >= 0 {
				name = rest[:end]
			}
			if found == nil {
				found = make(map[string]string)
			}
			found["#"+name] = name
		}
	}
	return found
}

const (
	valPartition   = ":partition"
	valPrefix      = ":prefix"
	valVersion     = ":version"
	valChange      = ":change"
	valQuota       = ":quota"
	valNow         = ":now"
	valDescription = ":description"
	valHidden      = ":hidden"
	valTime        = ":time"
	valDay         = ":day"
	valExpiry      = ":expiry"
	valMade        = ":made"
	valStatus      = ":status"
	valRevision    = ":revision"
	valWait        = ":wait"
	valWaitAt      = ":wait_at"
	valFirst       = ":first"
	valLast        = ":last"
)
