/** Listings that go on page by page. */
import { type QueryKey, useInfiniteQuery } from "@tanstack/react-query";
import { usePreferences } from "../prefs";

interface Part<T> {
  items: T[];
  next_cursor?: string | null;
}

/** The query and the items fetched so far; `ask` fetches the page that begins at a cursor. */
export function usePages<T>(
  queryKey: QueryKey,
  ask: (cursor: string | undefined, signal: AbortSignal) => Promise<Part<T>>,
) {
  const query = useInfiniteQuery({
    queryKey,
    queryFn: ({ signal, pageParam }) => ask(pageParam ?? undefined, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next_cursor,
  });
  return { query, items: query.data?.pages.flatMap((page) => page.items) };
}

/** The button that fetches the next page, where there is one. */
export function More({ query }: { query: ReturnType<typeof usePages>["query"] }) {
  const { text: t } = usePreferences();
  if (!query.hasNextPage) return null;
  return (
    <button type="button" className="wide" disabled={query.isFetchingNextPage} onClick={() => query.fetchNextPage()}>
      {t.action.more}
    </button>
  );
}
