package containerd

import (
	"context"
	"errors"
	"testing"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// answers is a task service that answers with an error of a list to each kill
// and each deletion.
type answers struct {
	tasks.TasksClient
	kills, deletions []error
}

func next(errs *[]error) (err error) {
	err, *errs = (*errs)[0], (*errs)[1:]
	return err
}

func (a *answers) Kill(context.Context, *tasks.KillRequest, ...grpc.CallOption) (*emptypb.Empty, error) {
	return nil, next(&a.kills)
}

func (a *answers) Wait(context.Context, *tasks.WaitRequest, ...grpc.CallOption) (*tasks.WaitResponse, error) {
	return nil, nil
}

func (a *answers) Delete(context.Context, *tasks.DeleteTaskRequest, ...grpc.CallOption) (*tasks.DeleteResponse, error) {
	return nil, next(&a.deletions)
}

// A shim that ends while it is talked to is no reason to keep what is gone.
func TestEndOfATaskWhoseShimEnds(t *testing.T) {
	closed, none := status.Error(codes.Unknown, "failed to delete task: ttrpc: closed"), status.Error(codes.NotFound, "no task")
	busy := status.Error(codes.Unknown, "busy")
	for name, tt := range map[string]struct {
		kills, deletions []error
		fails            bool
	}{
		"alive":             {[]error{nil}, []error{nil}, false},
		"gone":              {[]error{none}, []error{none}, false},
		"ends meanwhile":    {[]error{nil}, []error{closed, none}, false},
		"was killed":        {[]error{closed, closed, none}, []error{none}, false},
		"cannot be killed":  {[]error{busy}, nil, true},
		"cannot be deleted": {[]error{nil}, []error{busy, busy}, true},
	} {
		a := &answers{kills: tt.kills, deletions: tt.deletions}
		if err := endTask(t.Context(), a, "c"); (err != nil) != tt.fails || len(a.kills)+len(a.deletions) > 0 {
			t.Errorf("%s: error %v, with %d answers left", name, err, len(a.kills)+len(a.deletions))
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := endTask(cancelled, &answers{kills: []error{closed}}, "c"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}
