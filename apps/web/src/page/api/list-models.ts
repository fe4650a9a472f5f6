import type { Model, ModelsList } from '@sdcpu/contract'
import { useQuery } from '@tanstack/react-query'
import { ApiError, callApi } from './call-api.ts'

const POLL_MS = 60_000 // models come and go with deployments
const WAITING_POLL_MS = 5_000 // somebody waits for the service, or for a worker

/** Asks which models are served, the one that draws when none is named first. */
export async function listModels(signal?: AbortSignal): Promise<Model[]> {
  const { models } = await callApi<ModelsList>('api/v1/models', { signal })
  return models.toSorted((one, other) => Number(other.isDefault) - Number(one.isDefault))
}

/** The models that are served, asked for again now and then; while nobody answers, the service is away. */
export function useModels() {
  return useQuery({
    queryKey: ['models'],
    queryFn: ({ signal }) => listModels(signal),
    refetchInterval: ({ state }) => modelsInterval(state.data, state.error),
  })
}

/** Milliseconds until the next question. */
export function modelsInterval(models: Model[] | undefined, error: unknown): number {
  const isServed = !error && models?.length && models.every(({ status }) => status === 'ready')
  if (isServed) return POLL_MS
  const retryAfterSeconds = error instanceof ApiError ? error.retryAfterSeconds : undefined
  return Math.max(WAITING_POLL_MS, (retryAfterSeconds ?? 0) * 1000)
}
