// Command local-provisioner serves the cluster's StorageClasses: each claim becomes a folder on this machine and a
// PersistentVolume of type local, which goes away with the claim.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

const provisionerName = "embedding-operator.dev/local-folder"

// folders makes and removes one folder per volume below root.
type folders struct {
	root string
	node string
}

// Provision makes the folder, writable for any user id as the pods of a test cluster run under any, and describes it.
func (f folders) Provision(
	_ context.Context, options controller.ProvisionOptions,
) (*corev1.PersistentVolume, controller.ProvisioningState, error) {
	claim := options.PVC
	path := filepath.Join(f.root, strings.Join([]string{claim.Namespace, claim.Name, options.PVName}, "_"))
	if err := os.MkdirAll(path, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	// MkdirAll is subject to the umask.
	if err := os.Chmod(path, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: options.PVName},
		Spec: corev1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			AccessModes:                   claim.Spec.AccessModes,
			VolumeMode:                    claim.Spec.VolumeMode,
			Capacity: corev1.ResourceList{
				corev1.ResourceStorage: claim.Spec.Resources.Requests[corev1.ResourceStorage],
			},
			PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: path}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{
					MatchExpressions: []corev1.NodeSelectorRequirement{{
						Key:      corev1.LabelHostname,
						Operator: corev1.NodeSelectorOpIn,
						Values:   []string{f.node},
					}},
				}},
			}},
		},
	}, controller.ProvisioningFinished, nil
}

// Delete removes the folder of a released volume, and refuses any that does not lie directly below root.
func (f folders) Delete(_ context.Context, volume *corev1.PersistentVolume) error {
	if volume.Spec.Local == nil {
		return errors.New("not a local volume")
	}
	path := filepath.Clean(volume.Spec.Local.Path)
	if filepath.Dir(path) != filepath.Clean(f.root) {
		return fmt.Errorf("%s does not lie directly below %s: left alone", path, f.root)
	}
	return os.RemoveAll(path)
}

func run() error {
	kubeconfig := flag.String("kubeconfig", "", "kubeconfig file of the cluster")
	root := flag.String("root", "", "folder below which each volume gets a folder")
	node := flag.String("node", "", "name of the node that this machine is")
	flag.Parse()
	if *kubeconfig == "" || *root == "" || *node == "" {
		return errors.New("--kubeconfig, --root and --node are required")
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	controller.NewProvisionController(
		ctx, client, provisionerName, folders{root: *root, node: *node},
		controller.LeaderElection(false),
		// The library's own backoff starts at 15 s, which a person waiting for a claim takes for a hang.
		controller.RateLimiter(workqueue.NewTypedItemExponentialFailureRateLimiter[string](
			200*time.Millisecond, 30*time.Second)),
	).Run(ctx)
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "local-provisioner:", err)
		os.Exit(1)
	}
}
