/** What several pages ask for. */
import { queryOptions, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { usePreferences } from "../prefs";
import { marketOffset, type Times, timesOf } from "../time";
import { api, take } from "./client";

const SLOW = 5 * 60_000;

export const chainQuery = queryOptions({
  queryKey: ["chain"],
  queryFn: ({ signal }) => take(api.GET("/api/v1/chain", { signal })),
  staleTime: 30_000,
});

export const zonesQuery = queryOptions({
  queryKey: ["zones"],
  queryFn: ({ signal }) => take(api.GET("/api/v1/zones", { signal })),
  staleTime: SLOW,
});

export const classesQuery = queryOptions({
  queryKey: ["classes"],
  queryFn: ({ signal }) => take(api.GET("/api/v1/classes", { signal })),
  staleTime: SLOW,
});

export const productsQuery = queryOptions({
  queryKey: ["products"],
  queryFn: ({ signal }) => take(api.GET("/api/v1/products", { signal })),
  staleTime: SLOW,
});

export const batchesQuery = queryOptions({
  queryKey: ["batches"],
  queryFn: ({ signal }) => take(api.GET("/api/v1/batches", { params: { query: { limit: 20 } }, signal })),
});

/** Formatters of the chosen clock; the market's offset follows from the batches' start. */
export function useTimes(): Times {
  const { language, clock } = usePreferences();
  const products = useQuery(productsQuery);
  const start = products.data?.[0]?.start ?? 0;
  return useMemo(() => timesOf(language, clock, marketOffset(start)), [language, clock, start]);
}

/** Names of zones by id. */
export function useZoneName(): (zone: number) => string {
  const zones = useQuery(zonesQuery);
  return (zone) => zones.data?.find((row) => row.zone_id === zone)?.name ?? `#${zone}`;
}

/** Names of classes by id. */
export function useClassName(): (classId: number) => string {
  const classes = useQuery(classesQuery);
  return (id) => classes.data?.find((row) => row.class_id === id)?.name ?? `#${id}`;
}
