"""Cancel jobs and job groups on a Tator server, or try it on one inside this program.

With TATOR_HOST and TATOR_TOKEN set, cancels what you name on that server; without TATOR_HOST,
starts a server of its own, launches jobs there and cancels them.
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
    ids = parser.parse_args()
    named = bool(ids.run_uids or ids.group_ids)
    if not os.environ.get("TATOR_HOST"):
        if named:
            parser.error("set TATOR_HOST and TATOR_TOKEN to say on which server")
        return try_it()
    if not named:
        parser.error("name a RUN_UID or --group GROUP_ID to cancel")
    try:
        api = tator.get_api()
    except tator.ApiException as error:
        parser.error(str(error))
    return 0 if cancel(api, ids.run_uids, ids.group_ids) else 1


def cancel(api: tator.JobApi, run_uids: list[str], group_ids: list[str]) -> bool:
    """Cancel all of these, say how each went, and return whether all went well."""
    ids = [("job", run_uid) for run_uid in run_uids]
    ids += [("group", group_id) for group_id in group_ids]
    all_well = True
    for kind, identifier in ids:
        delete = api.delete_job if kind == "job" else api.delete_job_group
        try:
            answer = delete(identifier)
        except KeyboardInterrupt:
            print(f"  STOPPED    {kind:5} {identifier}\n             It may be cancelled.")
            return False
        except tator.ApiException as error:
            print(f"  FAILED     {kind:5} {identifier}\n             {error}")
            all_well = False
        else:
            print(f"  cancelled  {kind:5} {identifier}\n             {answer.message or ''}")
    return all_well


def try_it() -> int:
    """Launch jobs on a server of our own, and cancel them."""
    from tator.testing import LocalTator

    with LocalTator() as server:
        api = tator.get_api(server.host, server.token)
        api.api_client.configuration.proxy = ""  # the server is on this machine
        single, group = server.launch(), server.launch(3)
        run_uid = single.run_uids[0]
        print(f"TATOR_HOST is not set, so this is a server of our own, at {server.host}\n")
        print("One job and a group of three run there. Cancel the job and the group:\n")
        all_well = cancel(api, [run_uid], [group.group_id])
        print("\nThe server's jobs are now:\n")
        for launched, state in server.jobs.items():
            print(f"  {state:9}  job   {launched}")
        print("\nThe same job once more, to see what an error looks like:\n")
        cancel(api, [run_uid], [])
        print("\nOn your server: set TATOR_HOST and TATOR_TOKEN, and name what to cancel:")
        print(f"  {sys.executable} {sys.argv[0]} RUN_UID --group GROUP_ID")
    return 0 if all_well else 1


if __name__ == "__main__":
    sys.exit(main())
