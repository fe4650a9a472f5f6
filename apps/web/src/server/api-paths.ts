/** Everything the API answers; the rest of the paths belong to the page. */
export const API_PATHS = ['/api', '/v1', '/sdapi', '/internal', '/images', '/mcp', '/docs', '/openapi.json']
