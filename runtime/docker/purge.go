package docker

import (
	"context"
	"errors"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir"
)

// purgeOf returns what clears, for rundir.Sweep, a dead run's objects in a
// daemon of the host. Runs in daemons other than that at host are left to
// whoever uses those.
func purgeOf(host string) func(ctx context.Context, address, id string) error {
	return func(ctx context.Context, address, id string) error {
		if address != host {
			return rundir.ErrLater
		}
		c, err := dial(ctx, host)
		if err != nil {
			return err
		}
		defer c.Close()
		return purge(ctx, c, id)
	}
}

// purge removes the containers, the networks and the images of a run. It also
// takes from images the name that they had while they were loaded: a run that
// still needs it loads the image again.
func purge(ctx context.Context, c *client.Client, id string) error {
	list, err := c.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", runLabel+"="+id)})
	if err != nil {
		return err
	}
	errs := []error{rundir.RemoveAll(list.Items, func(item container.Summary) error {
		_, err := c.ContainerRemove(ctx, item.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		return ignoreNotFound(err)
	})}
	networks, err := c.NetworkList(ctx, client.NetworkListOptions{Filters: client.Filters{}.Add("label", runLabel+"="+id)})
	errs = append(errs, err)
	for _, item := range networks.Items {
		_, err := c.NetworkRemove(ctx, item.ID, client.NetworkRemoveOptions{})
		errs = append(errs, ignoreNotFound(err))
	}
	images, err := c.ImageList(ctx, client.ImageListOptions{Filters: client.Filters{}.Add("reference", "wasmbench.invalid/guest")})
	errs = append(errs, err)
	for _, item := range images.Items {
		for _, name := range item.RepoTags {
			if strings.Contains(name, nameSuffix(id)) || !strings.Contains(name, "-") {
				errs = append(errs, untag(ctx, c, name))
			}
		}
	}
	return errors.Join(errs...)
}
