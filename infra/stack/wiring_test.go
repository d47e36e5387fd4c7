package stack

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// wiring is the main.go of a function, with the types of everything in it.
type wiring struct {
	file *ast.File
	info types.Info
}

// wirings reads every function's main.go.
func wirings(t *testing.T) map[string]wiring {
	t.Helper()
	fset := token.NewFileSet()
	packages := importer.ForCompiler(fset, "gc", compiled(t))
	all := make(map[string]wiring)
	for _, name := range functionFolders(t) {
		file, err := parser.ParseFile(fset, filepath.Join(root, "functions", name, "main.go"), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		w := wiring{file: file, info: types.Info{Types: make(map[ast.Expr]types.TypeAndValue), Uses: make(map[*ast.Ident]types.Object)}}
		config := types.Config{Importer: packages}
		if _, err := config.Check("main", fset, []*ast.File{file}, &w.info); err != nil {
			t.Fatal(err)
		}
		all[name] = w
	}
	return all
}

// compiled finds the compiled form of every package that functions are made of.
func compiled(t *testing.T) func(path string) (io.ReadCloser, error) {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-export", "-deps", "-json=ImportPath,Export", "webhooks/functions/...")
	text, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderrOf(err))
	}
	files := make(map[string]string)
	for decoder := json.NewDecoder(bytes.NewReader(text)); decoder.More(); {
		var p struct{ ImportPath, Export string }
		if err := decoder.Decode(&p); err != nil {
			t.Fatal(err)
		}
		files[p.ImportPath] = p.Export
	}
	return func(path string) (io.ReadCloser, error) {
		if files[path] == "" {
			return nil, errors.New("go list does not name it")
		}
		return os.Open(files[path])
	}
}

// calls gives the methods of a type that the wiring lets others call: those of every interface that
// a value of the type is passed or assigned as.
func (w wiring) calls(typeName string) []string {
	methods := make(map[string]bool)
	pass := func(value ast.Expr, to types.Type) {
		if w.info.Types[value].Type.String() != typeName {
			return
		}
		if asked, ok := to.Underlying().(*types.Interface); ok {
			for method := range asked.Methods() {
				methods[method.Name()] = true
			}
		}
	}
	ast.Inspect(w.file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.CallExpr:
			if signature, ok := w.info.Types[node.Fun].Type.(*types.Signature); ok {
				for i, argument := range node.Args {
					pass(argument, signature.Params().At(min(i, signature.Params().Len()-1)).Type())
				}
			}
		case *ast.CompositeLit:
			fields, ok := w.info.Types[node].Type.Underlying().(*types.Struct)
			for _, element := range node.Elts {
				if pair, isPair := element.(*ast.KeyValueExpr); ok && isPair {
					pass(pair.Value, fieldType(fields, pair.Key.(*ast.Ident).Name))
				}
			}
		}
		return true
	})
	return sorted(methods)
}

func fieldType(fields *types.Struct, name string) types.Type {
	for field := range fields.Fields() {
		if field.Name() == name {
			return field.Type()
		}
	}
	return types.Typ[types.Invalid]
}

// settingsReader is a function that reads settings: package and name, and the names that the wiring
// gives it.
type settingsReader struct {
	function string
	names    []string
}

// readers gives the functions that the wiring passes its getenv to, and the settings that it reads
// by itself.
func (w wiring) readers() []settingsReader {
	var found []settingsReader
	ast.Inspect(w.file, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok {
			return true
		}
		var names []string
		passes := isGetenv(w.info.Types[call.Fun].Type)
		for _, argument := range call.Args {
			passes = passes || isGetenv(w.info.Types[argument].Type)
			if literal, ok := argument.(*ast.BasicLit); ok {
				if text, err := strconv.Unquote(literal.Value); err == nil {
					names = append(names, text)
				}
			}
		}
		if passes {
			found = append(found, settingsReader{w.nameOf(call.Fun), names})
		}
		return true
	})
	return found
}

// isGetenv reports whether a type is that of os.Getenv.
func isGetenv(t types.Type) bool {
	text := types.NewTuple(types.NewVar(token.NoPos, nil, "", types.Typ[types.String]))
	return t != nil && types.Identical(t, types.NewSignatureType(nil, nil, nil, text, text, false))
}

// nameOf gives "package.Name" of a function of another package, and "getenv" for the wiring's own.
func (w wiring) nameOf(function ast.Expr) string {
	if selector, ok := function.(*ast.SelectorExpr); ok {
		return w.info.Uses[selector.Sel].Pkg().Name() + "." + selector.Sel.Name
	}
	return "getenv"
}
