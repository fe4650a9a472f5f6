import { callApi } from './call-api.ts'

/** Has the API forget a request, its prompt and its pictures; what of it is not drawn yet is called off. */
export function deleteImages(id: string): Promise<void> {
  return callApi(`api/v1/images/${encodeURIComponent(id)}`, { method: 'DELETE' })
}
