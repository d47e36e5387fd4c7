package webhooktest

import (
	"fmt"
	"slices"

	"webhooks/shared/webhook"
)

func listCases() []testCase {
	return []testCase{
		{"oldest first by ID, in whatever order they are stored", func(f *fixture) {
			webhooks := make([]webhook.Webhook, 5)
			for i := range webhooks {
				webhooks[i] = f.newWebhook()
			}
			for _, i := range []int{3, 0, 4, 2, 1} {
				f.create(webhooks[i])
			}
			f.wantStored(webhooks...)
		}},
		{"pages have no gaps or overlaps, whatever is deleted", listPages},
		{"a page past the end is empty and has the count", listPastEnd},
		{"companies with similar names are separate", listSimilarCompanies},
	}
}

func listPages(f *fixture) {
	all := f.createN(8)
	f.delete(all[3].ID)
	all = slices.Delete(all, 3, 4)
	for _, size := range []int{1, 2, 3, 6, 7, 8, 100} {
		last := webhook.Page{Size: size}.Last(len(all))
		for number := 1; number <= last; number++ {
			list := f.list(size, number)
			if list.Count != len(all) {
				f.t.Errorf("size %d, page %d: count %d, want %d", size, number, list.Count, len(all))
			}
			from := (number - 1) * size
			wantWebhooks(f.t, list.Webhooks, all[from:min(from+size, len(all))])
		}
	}
}

func listPastEnd(f *fixture) {
	for _, n := range []int{0, 2} {
		f := f.inNew()
		f.createN(n)
		for _, page := range []webhook.Page{{Size: 2, Number: 2}, {Size: 1, Number: 3}, {Size: 100, Number: 2},
			{Size: 1, Number: 2147483647}, {Size: 100, Number: 2147483647}, {Size: 100, Number: 21474837}} {
			list := f.list(page.Size, page.Number)
			if list.Count != n || len(list.Webhooks) != 0 {
				f.t.Errorf("%d webhooks, %+v: got count %d and %v, want count %d and no webhooks",
					n, page, list.Count, ids(list.Webhooks), n)
			}
		}
	}
}

func listSimilarCompanies(f *fixture) {
	longest := f.company + fmt.Sprintf("%0*d", webhook.MaxCompanyLength-len(f.company), 0)
	stored := map[*fixture]webhook.Webhook{}
	for _, company := range []*fixture{f, f.in("CO" + f.company[2:]), f.in(f.company + "_"), f.in(f.company + "-x"), f.in(longest)} {
		stored[company] = company.createOne()
	}
	for company, w := range stored {
		company.wantStored(w)
	}
	f.in(f.company[:len(f.company)-1]).wantStored()
}
