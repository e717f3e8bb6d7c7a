// The HTTP API in Swagger UI. Its files come from an installed package, so that nothing is loaded from elsewhere.

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  validatorUrl: null, // the default sends the description to a public service
});
