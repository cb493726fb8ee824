import type { ModelsAsked, OtherModel } from '../provider.ts'

/** The model of the Responses API's image tool where the tool names none. Source: its API reference. */
const defaultImageModel = 'gpt-image-1'

/**
 * The models that a request body asks for: `model`, those of tools that call a model themselves,
 * and the fallbacks (`models`) that some compatible APIs accept. A stored prompt (`prompt` with an
 * id) may choose a model that stands in no request. Nothing is made a string that is none.
 */
export function openaiModelsAsked(body: Readonly<Record<string, unknown>>): ModelsAsked {
  const { model, models, prompt, tools } = body
  const storedPrompt = typeof prompt === 'object' && prompt !== null && !Array.isArray(prompt)
  return {
    model: stringOrNull(model),
    others: models === undefined && tools === undefined ? noOthers : new Others(models, tools),
    hiddenIn: storedPrompt ? 'prompt' : null,
  }
}

const noOthers: Iterable<OtherModel> = []

/** Made as they are looked at: for most keys nobody asks, and a body may name very many. */
class Others implements Iterable<OtherModel> {
  readonly #models: unknown
  readonly #tools: unknown

  constructor(models: unknown, tools: unknown) {
    this.#models = models
    this.#tools = tools
  }

  [Symbol.iterator](): Iterator<OtherModel> {
    return othersIn(this.#models, this.#tools)
  }
}

function* othersIn(models: unknown, tools: unknown): Generator<OtherModel> {
  if (Array.isArray(models)) {
    for (const [index, name] of models.entries()) {
      yield { model: stringOrNull(name), param: `models[${index}]` }
    }
  } else if (models !== undefined && models !== null) {
    yield { model: stringOrNull(models), param: 'models' }
  }
  if (!Array.isArray(tools)) return
  for (const [index, tool] of tools.entries()) {
    if (typeof tool !== 'object' || tool === null) continue
    const param = `tools[${index}].model`
    if ('model' in tool) yield { model: stringOrNull(tool.model), param }
    else if ('type' in tool && tool.type === 'image_generation') yield { model: defaultImageModel, param }
  }
}

function stringOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}
