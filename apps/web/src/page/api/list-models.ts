import type { Model, ModelsList } from '@sdcpu/contract'
import { useQuery } from '@tanstack/react-query'
import { callApi } from './call-api.ts'
import { awayInterval } from './follow-images.ts'

const POLL_MS = 60_000 // models come and go with deployments

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
    refetchInterval: ({ state }) =>
      state.error ? awayInterval(state.error, Date.now() - state.dataUpdatedAt) : POLL_MS,
  })
}
