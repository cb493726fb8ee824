/**
 * Takes credentials and media out of a text that is to be kept: everything with the shape of a provider's, a cloud's or
 * our own keys, bearer tokens, passwords of URLs, private keys, the values of JSON members and form fields whose names
 * say that they are secret, and what is encoded in base64 (of which the length is left). It recognises shapes: a secret
 * that has none, or that an event stream spells out in pieces, stays. Personal data stays, too.
 *
 * JSON writers differ in what they escape: Go's and .NET's spell `&` as `\u0026`, .NET's quotes as `\u0022`, PHP's
 * slashes as `\/`. What decides here is known in each spelling.
 *
 * Every expression takes linear time: it begins at one place of a run, is bounded, or can't fail once it has begun.
 */
export function redact(text: string): string {
  let redacted = text
    .replace(dataUrl, (_, head: string, data: string) => `${head}[${data.length} characters]`)
    .replace(longBase64, (data) => `[${data.length} characters of base64]`)
    .replace(secretMember, `$1"${mark}"`)
    .replace(secretValue, `$1"${mark}"`)
    .replace(secretList, `$1["${mark}"]`)
    .replace(quotedMember, `$1${mark}`)
    .replace(secretField, `$1${mark}`)
  for (const shape of shapes) redacted = redacted.replace(shape, mark)
  return redacted
}

/** What stands in the place of a secret. */
export const mark = '[redacted]'

/** Cuts off what may be the beginning of a secret, at the end of a text that was cut itself. */
export function withoutCutEnd(text: string): string {
  return text.replace(/(?<![\w.+/=-])[\w.+/=-]{1,8192}$/, '')
}

const dataUrl = /(data:[a-z0-9.+\\/-]{0,100}(?:;[a-z0-9.+=-]{0,100}){0,4};base64,)([A-Za-z0-9+/=_\\-]+)/gi
const longBase64 = /(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+/_=-]{1024,}/g

const secretName =
  '[\\w-]{0,40}(?:api[_-]?key|passw(?:or)?d|passphrase|secret|credential|authorization|cookie|private[_-]?key|(?:access|refresh|id|auth|session|bearer)[_-]?token)[\\w-]{0,40}'
/** `"api_key": "…"`, whether the text ends within it or not. */
const secretMember = new RegExp(
  `("${secretName}"\\s{0,20}:\\s{0,20})"(?:[^"\\\\]|\\\\[^])*(?:"|\\\\?$)`,
  'gi',
)
/** `"password": 1234`. */
const secretValue = new RegExp(`("${secretName}"\\s{0,20}:\\s{0,20})-?[0-9][^\\s,}\\]]{0,100}`, 'gi')
/** `"api_keys": ["…", "…"]`, whether the text ends within it or not. */
const secretList = new RegExp(
  `("${secretName}"\\s{0,20}:\\s{0,20})\\[(?:[^\\]"\\\\]|"(?:[^"\\\\]|\\\\[^])*(?:"|\\\\?$))*\\]?`,
  'gi',
)
/** The first again, within a text that is JSON itself: `\"password\": \"…\"`. */
const quotedMember = new RegExp(
  `((?<!\\\\)(\\\\{1,15}(?:"|u0022))${secretName}\\2\\s{0,20}:\\s{0,20}\\2)(?:(?!(?<!\\\\)\\2|(?<!\\\\)")[^])*`,
  'gi',
)
/** `password=…` of a form or a query. */
const secretField = new RegExp(`((?:^|[?&]|\\\\u0026)${secretName}=)(?:(?!\\\\u0026)[^&\\s"])*`, 'gi')

const shapes: readonly RegExp[] = [
  // Ours, under any prefix.
  /\blk[a-z]?_[0-9A-Za-z_]{4,}/g,
  /\b[a-z]{2,17}_[0-9A-Za-z]{12}_[0-9A-Za-z]{20,}/g,
  /\bwhsec_[0-9A-Za-z+/=]{4,}/g,
  // OpenAI, Anthropic, OpenRouter, DeepSeek, Stripe: sk-…; xAI, Groq, Hugging Face, Replicate, Fireworks, Perplexity,
  // NVIDIA, Cerebras, Together.
  /\b(?:sk|pk|rk|xai|gsk|hf|r8|fw|pplx|nvapi|csk|tgp)[-_][0-9A-Za-z_-]{16,}/g,
  // Google, AWS, GitHub, GitLab, Slack.
  /\bAIza[0-9A-Za-z_-]{20,}/g,
  /\bya29\.[0-9A-Za-z_-]{20,}/g,
  /\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/g,
  /\b(?:gh[pousr]|github_pat)_[0-9A-Za-z_]{20,}/g,
  /\bglpat-[0-9A-Za-z_-]{16,}/g,
  /\bxox[a-z]-[0-9A-Za-z-]{10,}/g,
  // JSON Web Tokens.
  /(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?/g,
  /\b(?:Bearer|Basic)\s{1,20}(?:[0-9A-Za-z._~+/=-]|\\{1,15}(?:\/|u00(?:2b|3d))){12,}/gi,
  /\b[a-z][a-z0-9+.-]{1,20}:(?:\\{0,15}\/){2}[^\s/@:"]{0,200}:[^\s@"]{1,200}@/gi,
  /-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|$)/g,
]
