import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { fetchCallbacks, fetchHosts, fetchJob, fetchJobHosts, fetchJobRequest, fetchJobResult, fetchJobs, fetchSavedTargets, type JobsQuery } from "../../api/jobs.ts";
import { isFinished } from "../../model/jobs.ts";

/** Intervals of reading, while the page is visible: the stream has no event for each host of a job. */
const OPEN_MS = 2000;
const LIST_MS = 5000;
const LIMIT = 50;

/** Reads the jobs, the newest first. */
export function useJobList(state: string | undefined, name: string | undefined) {
  return useInfiniteQuery({
    queryKey: ["jobs", state, name],
    queryFn: ({ pageParam, signal }) => fetchJobs({ limit: LIMIT, ...(state && { state: state as NonNullable<JobsQuery["state"]> }), ...(name && { name }), ...(pageParam > 0 && { before: pageParam }) }, signal),
    initialPageParam: 0,
    getNextPageParam: (page) => page.next,
    refetchInterval: LIST_MS,
    staleTime: 0,
    placeholderData: (before) => before,
  });
}

/** Reads a job. A job that has ended is also read again, because a late report may correct it, and a user may retry it. */
export function useJob(id: number) {
  return useQuery({
    queryKey: ["job", id],
    queryFn: ({ signal }) => fetchJob(id, signal),
    refetchInterval: ({ state: { data } }) => (data && isFinished(data.status) ? LIST_MS : OPEN_MS),
    staleTime: 0,
  });
}

/** Reads the hosts of a step: again and again while it is open, otherwise when `version`, its counts, has changed. */
export function useJobHosts(id: number, step: number | undefined, isOpen: boolean, version: string) {
  const query = useQuery({
    queryKey: ["job-hosts", id, step],
    queryFn: ({ signal }) => fetchJobHosts(id, step ?? 0, signal),
    enabled: step !== undefined,
    refetchInterval: isOpen ? OPEN_MS : false,
    staleTime: 0,
  });
  const { refetch } = query;
  const seen = useRef(version);
  useEffect(() => {
    if (seen.current !== version) void refetch();
    seen.current = version;
  }, [version, refetch]);
  return query;
}

/** Reads the request that has started a job, which doesn't change. */
export function useJobRequest(id: number | undefined) {
  return useQuery({ queryKey: ["job-request", id], queryFn: ({ signal }) => fetchJobRequest(id ?? 0, signal), enabled: id !== undefined });
}

/** Reads the outputs of a step by shape, again when `version`, its counts, has changed. */
export function useJobResult(id: number, step: number, version: string) {
  return useQuery({ queryKey: ["job-result", id, step, version], queryFn: ({ signal }) => fetchJobResult(id, step, signal), placeholderData: (before) => before });
}

/** Reads the newest callbacks of a job: again and again while the job is open or one waits. */
export function useCallbacks(job: number, isOpen: boolean) {
  return useQuery({
    queryKey: ["job-callbacks", job],
    queryFn: ({ signal }) => fetchCallbacks(job, signal),
    refetchInterval: ({ state: { data } }) => (isOpen || data?.some(({ state }) => state === "waiting") ? LIST_MS : false),
    staleTime: 0,
  });
}

/** Reads the hosts that jobs can run on. */
export function useHosts() {
  return useQuery({ queryKey: ["hosts"], queryFn: ({ signal }) => fetchHosts(signal), refetchInterval: LIST_MS, staleTime: 0 });
}

/** Reads the saved targets. */
export function useSavedTargets() {
  return useQuery({ queryKey: ["targets"], queryFn: ({ signal }) => fetchSavedTargets(signal), refetchInterval: LIST_MS, staleTime: 0 });
}
