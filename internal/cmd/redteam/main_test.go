package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestATableIsMadeOfWhatTestsSay(t *testing.T) {
	t.Parallel()
	in := strings.NewReader(`{"Action":"run","Package":"p","Test":"TestAttack02"}
{"Action":"output","Package":"p","Test":"TestAttack02","Output":"    x_test.go:7: redteam | guessed tickets | 0 streams | 0 streams\n"}
{"Action":"pass","Package":"p","Test":"TestAttack02"}
{"Action":"output","Package":"p","Test":"TestAttack01","Output":"redteam | two packets | 1s | 3ms\n"}
{"Action":"output","Package":"p","Test":"TestAttack01","Output":"it hangs\n"}
{"Action":"fail","Package":"p","Test":"TestAttack01"}
{"Action":"pass","Package":"p","Test":"TestAttackOfNobody"}
{"Action":"pass","Package":"p","Test":"TestAttackOfNobody/part"}
{"Action":"fail","Package":"p"}
`)
	s := suite{"redteam", "TestAttack"}
	r, err := s.read(in)
	if err != nil || r.passed != 3 || len(r.failed) != 1 || r.failed[0] != "p TestAttack01" {
		t.Fatalf("%+v, %v", r, err)
	}
	var out bytes.Buffer
	r.print(&out)
	want := `FAIL p TestAttack01
redteam | two packets | 1s | 3ms
it hangs

WHAT             BOUND      MEASURED   TEST
two packets      1s         3ms        TestAttack01
guessed tickets  0 streams  0 streams  TestAttack02
of nobody                   holds      TestAttackOfNobody
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// A package that does not build has no test that fails.
func TestAPackageThatFailsIsAFailure(t *testing.T) {
	t.Parallel()
	r, err := suite{"redteam", "TestAttack"}.read(strings.NewReader(`{"Action":"fail","Package":"p"}` + "\n"))
	if err != nil || len(r.failed) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := (suite{}).read(strings.NewReader("panic\n")); err == nil {
		t.Error("a line that is no event was taken")
	}
}
