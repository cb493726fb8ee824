import type { ModelsAsked } from '../provider.ts'

/** The model of the Responses API's image tool where the tool names none. Source: its API reference. */
const defaultImageModel = 'gpt-image-1'

type Others = { readonly model: string | null; readonly param: string }[]

/**
 * The models that a request body asks for: `model`, those of tools that call a model themselves,
 * and the fallbacks (`models`) that some compatible APIs accept. A stored prompt (`prompt` with an
 * id) may choose a model that stands in no request. Nothing is made a string that is none.
 */
export function openaiModelsAsked(body: Readonly<Record<string, unknown>>): ModelsAsked {
  const { model, models, prompt, tools } = body
  const others: Others = []
  if (Array.isArray(models)) {
    for (const [index, name] of models.entries())
      others.push({ model: stringOrNull(name), param: `models[${index}]` })
  } else if (models !== undefined && models !== null) {
    others.push({ model: stringOrNull(models), param: 'models' })
  }
  if (Array.isArray(tools)) {
    for (const [index, tool] of tools.entries()) {
      if (typeof tool !== 'object' || tool === null) continue
      const param = `tools[${index}].model`
      if ('model' in tool) others.push({ model: stringOrNull(tool.model), param })
      else if ('type' in tool && tool.type === 'image_generation')
        others.push({ model: defaultImageModel, param })
    }
  }
  const storedPrompt = typeof prompt === 'object' && prompt !== null && !Array.isArray(prompt)
  return { model: stringOrNull(model), others, hiddenIn: storedPrompt ? 'prompt' : null }
}

function stringOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}
