// The HTTP API in Swagger UI, which a package of its own brings along, so that nothing is loaded from elsewhere.

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  validatorUrl: null, // the default sends the description to a public service
});
