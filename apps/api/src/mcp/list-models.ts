import { Model } from '@sdcpu/contract'
import { z } from 'zod'
import type { Models } from '../models.ts'
import { type McpTool, toToolSchema } from './tool.ts'

const ListedModels = z.object({ models: z.array(z.object(Model.shape)) })

/** Makes the tool that lists models. */
export function createListModels(models: Models): McpTool {
  return {
    definition: {
      name: 'list_models',
      title: 'List image models',
      description:
        'Lists the models that generate_image can draw with: which is the default, the sizes each draws well, its default and greatest number of steps, its guidance, and whether it is ready or has to be waited for.',
      inputSchema: toToolSchema(z.object({}), 'input'),
      outputSchema: toToolSchema(ListedModels, 'output'),
      annotations: { readOnlyHint: true, openWorldHint: false },
    },
    async call() {
      const listed = ListedModels.parse({ models: await models.list() })
      return { content: [{ type: 'text', text: JSON.stringify(listed) }], structuredContent: listed }
    },
  }
}
