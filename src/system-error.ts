/** What the system calls an error, such as `EADDRINUSE`; the error's message where the system has no name for it. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message;
}
