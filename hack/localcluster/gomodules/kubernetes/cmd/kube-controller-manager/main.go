// Command kube-controller-manager is the unmodified kube-controller-manager of k8s.io/kubernetes.
package main

import (
	"os"
	_ "time/tzdata" // CronJob time zones work without a zone database on the machine

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

func main() {
	os.Exit(cli.Run(app.NewControllerManagerCommand()))
}
