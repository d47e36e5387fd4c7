package dynamo

// All expressions, with the values that they take. Only two attribute names are reserved words of DynamoDB, which need
// placeholders.
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
)

// Projections, which list the attributes to read: all, the count, or those of a webhook except its token.
const (
	allAttributes = ""
	onlyCount     = webhooksAttr
	// onlyKeysAndCount is what a scan needs to tell items apart.
	onlyKeysAndCount = partitionKey + ", " + sortKey + ", " + webhooksAttr
	withoutToken     = sortKey + ", " + namePlaceholder + ", " + descriptionAttr + ", " + urlPlaceholder + ", " + eventsAttr + ", " +
		versionAttr + ", " + createdAtAttr

	namePlaceholder = "#name"
	urlPlaceholder  = "#url"
)

// projected returns the expression for a projection and the names behind its placeholders.
func projected(projection string) (expression *string, names map[string]string) {
	switch projection {
	case allAttributes:
		return nil, nil
	case withoutToken:
		return &projection, map[string]string{namePlaceholder: nameAttr, urlPlaceholder: urlAttr}
	}
	return &projection, nil
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
)
