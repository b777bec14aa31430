package workload

import (
	"slices"
	"testing"
)

func TestSourcesOfTheDistributionOnly(t *testing.T) {
	const targets = `Debian|bookworm|bookworm|main|http://a/debian/
Debian|bookworm|bookworm|main|http://a/debian/
Debian|bookworm|stable|contrib|http://a/debian/
Debian|bookworm-updates|bookworm-updates|main|http://a/debian/
Debian|bookworm-security|bookworm-security|main|http://a/debian-security/
Debian Backports|bookworm-backports|bookworm-backports|main|http://a/debian/
Debian|bookworm-proposed-updates|bookworm-proposed-updates|main|http://a/debian/
Debian|trixie|trixie|main|http://a/debian/
. nodistro|nodistro|nodistro|main|https://other/
Other|bookworm|bookworm|main|https://third/apt/

damaged
`
	debian, err := parseRelease("PRETTY_NAME=\"Debian\"\nID=debian\nVERSION_CODENAME=bookworm\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"deb http://a/debian/ bookworm main", "deb http://a/debian/ stable contrib",
		"deb http://a/debian/ bookworm-updates main", "deb http://a/debian-security/ bookworm-security main",
	}
	if got := debian.choose(targets); !slices.Equal(got, want) {
		t.Errorf("chosen: %q\nwant:   %q", got, want)
	}
	ubuntu, err := parseRelease("ID='ubuntu'\nVERSION_CODENAME=\"noble\"")
	if err != nil {
		t.Fatal(err)
	}
	got := ubuntu.choose("Ubuntu|noble|noble|universe|http://b/\nUbuntu|noble|noble-updates|main|http://b/\nUbuntu|noble|noble-backports|main|http://b/\n")
	if want := []string{"deb http://b/ noble universe", "deb http://b/ noble-updates main"}; !slices.Equal(got, want) {
		t.Errorf("chosen: %q, want %q", got, want)
	}
	for _, other := range []string{"", "ID=fedora\nVERSION_CODENAME=x\n", "ID=debian\n"} {
		if d, err := parseRelease(other); err == nil {
			t.Errorf("%q is taken for %+v", other, d)
		}
	}
}
