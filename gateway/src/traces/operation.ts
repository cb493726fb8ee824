/** GenAI operations by endpoint, as the semantic conventions name them. */
const operations: ReadonlyMap<string, string> = new Map([
  ['/v1/chat/completions', 'chat'],
  ['/v1/responses', 'chat'],
  ['/v1/completions', 'text_completion'],
  ['/v1/embeddings', 'embeddings'],
  ['/v1/images/generations', 'generate_content'],
  ['/v1/images/edits', 'generate_content'],
  ['/v1/images/variations', 'generate_content'],
  ['/v1/audio/speech', 'generate_content'],
  ['/v1/audio/transcriptions', 'generate_content'],
  ['/v1/audio/translations', 'generate_content'],
])

/**
 * The `gen_ai.operation.name` of an endpoint, or null where the conventions have none for it: files, lists and all
 * that calls no model. Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
 */
export function operationOf(endpoint: string): string | null {
  return operations.get(endpoint) ?? null
}
