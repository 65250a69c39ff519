"""Cancel jobs and groups on a Tator server, or on a test server inside this program.

With TATOR_HOST and TATOR_TOKEN set, it cancels the jobs that you name on that server. Without
TATOR_HOST, it starts a test server, launches jobs there and cancels them.
"""

import argparse
import os
import sys

import tator


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run_uids", metavar="RUN_UID", nargs="*", help="a job to cancel")
    parser.add_argument(
        "--group",
        dest="group_ids",
        metavar="GROUP_ID",
        action="append",
        default=[],
        help="a group of jobs to cancel; may be given several times",
    )
    parser.add_argument(
        "--project",
        type=int,
        help="the number of the groups' project, for servers released since September 2020",
    )
    named = parser.parse_args()
    is_named = bool(named.run_uids or named.group_ids)
    if not os.environ.get("TATOR_HOST"):
        if is_named:
            parser.error("set TATOR_HOST and TATOR_TOKEN to name the server")
        return try_it()
    if not is_named:
        parser.error("name a RUN_UID or --group GROUP_ID to cancel")
    try:
        api = tator.get_api()
    except tator.ApiException as error:
        parser.error(str(error))
    return 0 if cancel(api, named.run_uids, named.group_ids, named.project) else 1


def cancel(
    api: tator.JobApi, run_uids: list[str], group_ids: list[str], project: int | None = None
) -> bool:
    """Cancel all of these, print each outcome, and return whether all are cancelled."""
    todo = [("job", run_uid) for run_uid in run_uids]
    todo += [("group", group_id) for group_id in group_ids]
    all_cancelled = True
    for kind, name in todo:
        try:
            if kind == "job":
                message = api.delete_job(name).message
            else:
                message = api.delete_job_group(name, project=project).message
        except KeyboardInterrupt:
            print(f"  STOPPED    {kind:5} {name}\n             It may have been cancelled.")
            return False
        except tator.ApiException as error:
            print(f"  FAILED     {kind:5} {name}\n             {error}")
            all_cancelled = False
        else:
            print(f"  cancelled  {kind:5} {name}\n             {message or ''}")
    return all_cancelled


def try_it() -> int:
    """Launch jobs on a server in this program, and cancel them."""
    from tator.testing import LocalTator

    with LocalTator(server="2025-06") as server:
        api = tator.get_api(server.host, server.token)
        api.api_client.configuration.proxy = ""  # the server is on this machine
        single, group = server.launch(), server.launch(3)
        run_uid = single.run_uids[0]
        print(f"TATOR_HOST is not set, so this uses a built-in server at {server.host}\n")
        print("One job and a group of three run there. Cancel the job and the group:\n")
        all_cancelled = cancel(api, [run_uid], [group.group_id], group.project)
        print("\nThe server's jobs are now:\n")
        for launched, state in server.jobs.items():
            print(f"  {state:9}  job   {launched}")
        print("\nThe same job once more, to see what an error looks like:\n")
        cancel(api, [run_uid], [])
        print("\nOn your server: set TATOR_HOST and TATOR_TOKEN, and name what to cancel:")
        print(f"  {sys.executable} {sys.argv[0]} RUN_UID --group GROUP_ID --project NUMBER")
    return 0 if all_cancelled else 1


if __name__ == "__main__":
    sys.exit(main())
