package gen

import "testing"

func TestWireNamesOfGoNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"GoName": "go_name", "HTTPServer": "http_server", "UserIDs": "user_ids", "User_ID": "user_id", "X": "x", "A1B": "a1_b",
		"Änderung": "änderung", "LetzteÄnderung": "letzte_änderung", "État": "état", "ÉTATCivil": "état_civil",
	} {
		if got := snake(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	for _, c := range [][3]string{{"Éclair", "éclair", "Éclair"}, {"uRL", "uRL", "URL"}, {"É", "é", "É"}} {
		if lower, upper := lowerFirst(c[0]), upperFirst(c[0]); lower != c[1] || upper != c[2] {
			t.Errorf("%s is %s and %s, want %s and %s", c[0], lower, upper, c[1], c[2])
		}
	}
}
