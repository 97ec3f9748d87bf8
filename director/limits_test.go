package director_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/directorv1"
)

// TestFieldEveryLimitOfALeaseSaysWhatIsRight: as for a question.
func TestFieldEveryLimitOfALeaseSaysWhatIsRight(t *testing.T) {
	t.Parallel()
	d := startDirector(t, "director", "", "")
	m := newMallory(t, d)
	for field, c := range map[string]struct {
		request directorv1.LeaseRequest
		most    string
	}{
		"Selector": {directorv1.LeaseRequest{Selector: strings.Repeat("x", 5000)}, "4096"},
		"Failures": {directorv1.LeaseRequest{Failures: make([]directorv1.Failure, 257)}, "256"},
		"Unused":   {directorv1.LeaseRequest{Unused: make([]directorv1.Unused, 257)}, "256"},
		"Spent":    {directorv1.LeaseRequest{Spent: make([]directorv1.Spent, 129)}, "128"},
		"Numbers":  {directorv1.LeaseRequest{Spent: []directorv1.Spent{{Numbers: make([]uint64, 513)}}}, "512"},
	} {
		_, err := m.director.Lease(t.Context(), &c.request)
		if rpcnet.CodeOf(err) != rpcnet.CodeInvalidArgument || !strings.Contains(err.Error(), field) || !strings.Contains(err.Error(), c.most) {
			t.Errorf("%s: %v, want the field and its limit of %s", field, err, c.most)
		}
	}
	if _, err := m.director.Lease(t.Context(), &directorv1.LeaseRequest{Selector: "a=", Want: 1}); rpcnet.CodeOf(err) != rpcnet.CodeInvalidArgument && rpcnet.CodeOf(err) != rpcnet.CodeUnavailable {
		t.Errorf("a selector that matches nothing: %v", err)
	}
}

// TestFieldEveryLimitOfAQuestionSaysWhatIsRight: a director reads no more than its
// contract allows, and who asks for more is told which field and how much.
func TestFieldEveryLimitOfAQuestionSaysWhatIsRight(t *testing.T) {
	t.Parallel()
	d := startDirector(t, "director", "", "")
	ep, err := rpcnet.Listen("127.0.0.1:0", credentials(t), &rpcnet.EndpointConfig{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer ep.Close()
	conn, err := ep.Dial(t.Context(), d.addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	long := strings.Repeat("x", 5000)
	for field, c := range map[string]struct {
		request directorv1.GetWorkerRequest
		most    string
	}{
		"Selector": {directorv1.GetWorkerRequest{Selector: long}, "4096"},
		"Exclude":  {directorv1.GetWorkerRequest{Exclude: slices.Repeat([]string{"a"}, 257)}, "256"},
		"Key":      {directorv1.GetWorkerRequest{Key: long}, "1024"},
		"Hint":     {directorv1.GetWorkerRequest{Hint: long}, "256"},
		"Failures": {directorv1.GetWorkerRequest{Failures: make([]directorv1.Failure, 257)}, "256"},
		"Unused":   {directorv1.GetWorkerRequest{Unused: make([]directorv1.Unused, 257)}, "256"},
		"Ticket":   {directorv1.GetWorkerRequest{Unused: []directorv1.Unused{{Ticket: make([]byte, 65)}}}, "64"},
	} {
		_, err := directorv1.NewDirectorClient(conn).GetWorker(t.Context(), &c.request)
		if rpcnet.CodeOf(err) != rpcnet.CodeInvalidArgument || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(field)) || !strings.Contains(err.Error(), c.most) {
			t.Errorf("%s: %v, want the field and its limit of %s", field, err, c.most)
		}
	}
}
