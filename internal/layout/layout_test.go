package layout

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// root finds the repository: the folder above that holds go.mod.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for dir != "/" {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	t.Fatal("no go.mod above this test")
	return ""
}

// imports lists, for each package of ours, what its non-test files import of ours.
func imports(t *testing.T, dir string) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for pkg, all := range allImports(t, dir) {
		found[pkg] = nil
		for _, name := range all {
			if rest, ok := strings.CutPrefix(name, Module+"/"); ok {
				found[pkg] = append(found[pkg], rest)
			}
		}
	}
	return found
}

// allImports lists, for each package of ours, what its non-test files import.
func allImports(t *testing.T, dir string) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && file != dir || skipped(d.Name())):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go"):
			return nil
		}
		rel, _ := filepath.Rel(dir, filepath.Dir(file))
		pkg := filepath.ToSlash(rel)
		found[pkg] = append(found[pkg], fileImports(t, file)...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func skipped(name string) bool {
	return name == "testdata" || name == "node_modules" || name == "tools" || name == "web"
}

func fileImports(t *testing.T, file string) (names []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range f.Imports {
		name, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

// What only some may import, the others do not.
func TestForeignPackagesStayWhereTheyBelong(t *testing.T) {
	seen := map[string]bool{}
	for pkg, names := range allImports(t, root(t)) {
		for _, name := range names {
			for foreign, rules := range Foreign {
				if name != foreign && !strings.HasPrefix(name, foreign+"/") {
					continue
				}
				seen[foreign] = true
				if !allowed(rules, pkg) {
					t.Errorf("%s imports %s, which is for %v alone", pkg, name, rules)
				}
			}
		}
	}
	for foreign := range Foreign {
		if !seen[foreign] {
			t.Errorf("nobody imports %s: take it out of the map", foreign)
		}
	}
}

func allowed(rules []string, pkg string) bool {
	return slices.ContainsFunc(rules, func(rule string) bool {
		folder, below := strings.CutSuffix(rule, "/*")
		return rule == pkg || below && path.Dir(pkg) == folder
	})
}

func TestImportsFollowTheMap(t *testing.T) {
	found := imports(t, root(t))
	if len(found) < len(Allowed)/2 {
		t.Fatalf("found only %d packages: this test reads the wrong folder", len(found))
	}
	for pkg, list := range found {
		rules, known := Allowed[pkg]
		if !known {
			t.Errorf("package %s is not in the map", pkg)
		}
		for _, i := range list {
			if !allowed(rules, i) {
				t.Errorf("%s imports %s, which the map does not allow", pkg, i)
			}
		}
	}
}

// The map itself has one direction: following it from any package never leads back.
func TestMapHasNoCircle(t *testing.T) {
	var visit func(pkg string, above []string)
	visit = func(pkg string, above []string) {
		if slices.Contains(above, pkg) {
			t.Fatalf("circle: %s", strings.Join(append(above, pkg), " -> "))
		}
		for _, next := range Allowed[pkg] {
			visit(next, append(slices.Clone(above), pkg))
		}
	}
	for pkg := range Allowed {
		visit(pkg, nil)
	}
}

// A planted violation is found, so that the test above is known to be able to fail.
func TestViolationIsFound(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "player"), 0o755); err != nil {
		t.Fatal(err)
	}
	src := "package player\n\nimport _ \"" + Module + "/swarm\"\n"
	if err := os.WriteFile(filepath.Join(dir, "player", "x.go"), []byte(src), 0o644); err != nil {
		t.Fatal(err)
	}
	got := imports(t, dir)["player"]
	if len(got) != 1 || got[0] != "swarm" || allowed(Allowed["player"], "swarm") {
		t.Fatalf("imports of the planted file: got %q, want swarm, refused", got)
	}
}

// TestSimulatorHasNoGoroutine: make race leaves package simulate out.
func TestSimulatorHasNoGoroutine(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root(t), "swarm", "simulate", "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files of it: %v", err)
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			s, _ := n.(*ast.SelectorExpr)
			if _, ok := n.(*ast.GoStmt); ok || s != nil && (s.Sel.Name == "Go" || s.Sel.Name == "Parallel" || s.Sel.Name == "AfterFunc") {
				t.Errorf("%s starts a goroutine: package simulate belongs to make race again", file)
			}
			return true
		})
	}
}
