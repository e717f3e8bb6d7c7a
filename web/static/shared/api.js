// HTTP requests to the server. An error response becomes a Refusal with the server's message.

export class Refusal extends Error {
  constructor(status, problem, retryS) {
    super(problem.detail || `the server answered ${status}`);
    this.status = status;
    this.code = problem.code || "";
    this.retryS = retryS;
  }
}

/** Throws Refusal for an error response, TypeError if the server cannot be reached. */
export async function request(method, path, { json, body, type, token, headers: more = {}, keepalive = false } = {}) {
  const headers = { ...more };
  if (json !== undefined) headers["Content-Type"] = "application/json";
  if (type) headers["Content-Type"] = type;
  if (token) headers.Authorization = `Bearer ${token}`;
  const response = await fetch(path, {
    method, headers, keepalive, cache: "no-store", body: json === undefined ? body : JSON.stringify(json),
  });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new Refusal(response.status, problem, Number(response.headers.get("Retry-After")) || 0);
}

export const get = async (path) => (await request("GET", path)).json();
