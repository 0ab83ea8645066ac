// kstatus reads Kubernetes objects, one JSON document after another, and prints of each what cli-utils makes of its
// status: what Flux, Helm 4 and `kubectl apply` of kpt wait for. One line an object: STATUS, a tab, the message.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

func main() {
	documents := json.NewDecoder(os.Stdin)
	for {
		var content map[string]any
		err := documents.Decode(&content)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			fail(err)
		}
		result, err := status.Compute(&unstructured.Unstructured{Object: withIntegers(content).(map[string]any)})
		if err != nil {
			fail(err)
		}
		fmt.Printf("%s\t%s\n", result.Status, strings.ReplaceAll(result.Message, "\n", " "))
	}
}

// withIntegers gives whole numbers the type that objects from an API server have.
func withIntegers(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key, each := range value {
			value[key] = withIntegers(each)
		}
	case []any:
		for index, each := range value {
			value[index] = withIntegers(each)
		}
	case float64:
		if value == float64(int64(value)) {
			return int64(value)
		}
	}
	return value
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "kstatus:", err)
	os.Exit(1)
}
