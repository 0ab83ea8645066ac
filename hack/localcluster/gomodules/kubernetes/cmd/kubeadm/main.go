// Command kubeadm is the unmodified kubeadm of k8s.io/kubernetes; only its certificate and kubeconfig phases are used.
package main

import (
	"fmt"
	"os"

	"k8s.io/kubernetes/cmd/kubeadm/app"
)

func main() {
	if err := app.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
