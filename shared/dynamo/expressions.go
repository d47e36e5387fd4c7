package dynamo

// All expressions, with the values that they take. The attribute names are not reserved words of DynamoDB, so they need no
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

	// API keys: [valTime].
	revokeOnce = "SET " + revokedAtAttr + " = if_not_exists(" + revokedAtAttr + ", " + valTime + ")"
)

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
)
