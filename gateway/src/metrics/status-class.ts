/** HTTP statuses by their first digit: a provider may answer with any number. */
export const statusClasses = ['2xx', '3xx', '4xx', '5xx', 'other'] as const
export type StatusClass = (typeof statusClasses)[number]

export function statusClass(status: number): StatusClass {
  if (status >= 200 && status < 300) return '2xx'
  if (status >= 400 && status < 500) return '4xx'
  if (status >= 500 && status < 600) return '5xx'
  return status >= 300 && status < 400 ? '3xx' : 'other'
}
