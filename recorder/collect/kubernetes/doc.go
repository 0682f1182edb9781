// Package kubernetes answers one question: what do pods say that ran?
//
// Pods come from a file (`kubectl get pods -o json` or `-o yaml`) or from a cluster, through client-go's dynamic client (docs/decisions/0010-client-go-dynamic.md). Both give
// a [Pod], the few fields that are needed, and a pod gives tries. Nothing is ever written to a cluster.
//
// It imports recorder/collect and what that may. Start reading at pod.go, then tries.go; read.go is the file, client.go and watch.go are the cluster.
package kubernetes
