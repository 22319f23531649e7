package web

import (
	"compress/gzip"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/klauspost/compress/gzhttp"
)

// routes lists every route there is.
func (s *server) routes() http.Handler {
	r := chi.NewRouter()
	r.Use(s.findClient, s.logRequest, s.recoverPanic, secure, middleware.GetHead)
	r.NotFound(s.stray(notFound))
	r.MethodNotAllowed(s.stray(methodNotAllowed(r)))

	r.Get("/healthz", s.handle(s.health))
	r.With(s.limitByAddress(s.strays)).Get("/readyz", s.handle(s.ready))
	r.With(s.limitByAddress(s.counter(s.limits.files))).Get("/static/*", s.static)

	if s.Operator != nil {
		r.Group(func(r chi.Router) {
			r.Use(s.knownHost, s.sameOrigin, s.limitByAddress(s.counter(s.limits.operators)), compress)
			r.Get("/metrics", s.handle(s.showMetrics))
			r.Get("/operator", s.handle(s.showOperator))
			r.Post("/operator/login", s.handle(s.logIn))
			r.Post("/operator/logout", s.handle(s.logOut))
			r.Post("/operator/sandboxes/{id}/stop", s.handle(s.stopAny))
			r.Post("/operator/sandboxes/{id}/extend", s.handle(s.extendAny))
		})
	}

	// A preview comes with every key, and policies with every wish, so they have a count
	// of their own.
	r.Group(func(r chi.Router) {
		r.Use(s.knownHost, s.sameOrigin, s.session, s.limit(s.limits.previews), s.renew, s.inTurn, compressFast)
		r.Post("/labs/{lab}/analysis", s.handle(s.analyse))
		r.Post("/labs/{lab}/policies-for", s.handle(s.policiesFor))
	})
	r.Group(func(r chi.Router) {
		r.Use(s.knownHost, s.sameOrigin, s.session, s.limit(s.limits.requests), s.renew)

		r.Get("/sandboxes/{id}/events", s.handle(s.events))
		r.Get("/sandboxes/{id}/terminal", s.handle(s.terminal))

		r.Group(func(r chi.Router) {
			r.Use(s.inTurn, compress)

			r.Get("/", s.handle(s.index))
			r.Get("/lessons/{slug}", s.handle(s.showLesson))
			r.Get("/workbench", s.handle(s.showWorkbench))
			r.Get("/labs", s.handle(s.listLabs))
			r.Get("/quizzes/{slug}", s.handle(s.showQuiz))

			r.Get("/schema", s.handle(s.schema))
			r.Get("/labs/{lab}", s.handle(s.showLab))
			r.Get("/labs/{lab}/picture", s.handle(s.showPicture))
			r.Get("/labs/{lab}/yaml", s.handle(s.showOwnLab))

			r.Get("/me", s.handle(s.showMe))
			r.Get("/me/record.json", s.handle(s.exportMe))

			r.Get("/sandboxes/{id}", s.handle(s.getSandbox))
			r.Get("/sandboxes/{id}/policies", s.handle(s.listPolicies))
			r.Get("/sandboxes/{id}/history", s.handle(s.listHistory))
			r.Get("/sandboxes/{id}/history/{change}", s.handle(s.showPoint))
			r.Get("/sandboxes/{id}/why", s.handle(s.explainFlow))

			r.Group(func(r chi.Router) {
				r.Use(s.limit(s.limits.starts))
				r.Post("/sandboxes", s.handle(s.createSandbox))
				r.Post("/sandboxes/{id}/reset", s.handle(s.resetSandbox))
			})
			r.Group(func(r chi.Router) {
				r.Use(s.limit(s.limits.changes))
				r.Post("/labs", s.handle(s.makeLab))
				r.Post("/labs/form", s.handle(s.composeLab))
				r.Post("/labs/{lab}/delete", s.handle(s.deleteLab))
				r.Post("/quizzes/{slug}", s.handle(s.gradeQuiz))
				r.Post("/scheme", s.handle(s.chooseScheme))
				r.Post("/me/name", s.handle(s.nameMe))
				r.Post("/me/forget", s.handle(s.forgetMe))
				// Each gives a cookie, and with it a count of its own.
				r.With(s.limitByAddress(s.newcomers)).Post("/me/new", s.handle(s.changeLearner))
				r.Post("/lessons/{slug}/sections/{section}/done", s.handle(s.finishSection))
				r.Post("/sandboxes/{id}/extend", s.handle(s.extendSandbox))
				r.Delete("/sandboxes/{id}", s.handle(s.stopSandbox))
				r.Post("/sandboxes/{id}/stop", s.handle(s.stopSandboxForm))
				r.Put("/sandboxes/{id}/policies", s.handle(s.applyPolicies))
				r.Post("/sandboxes/{id}/policies", s.handle(s.applyPoliciesForm))
				r.Delete("/sandboxes/{id}/policies", s.handle(s.deletePolicies))
				r.Delete("/sandboxes/{id}/policies/{namespace}/{name}", s.handle(s.deletePolicy))
				r.Post("/sandboxes/{id}/history/{change}/restore", s.handle(s.restorePoint))
				r.Post("/lessons/{slug}/exercises/{exercise}/begin", s.handle(s.beginExercise))
				r.Post("/lessons/{slug}/exercises/{exercise}/restore", s.handle(s.restoreExercise))
				r.Post("/lessons/{slug}/exercises/{exercise}/check", s.handle(s.checkExercise))
				r.Post("/lessons/{slug}/exercises/{exercise}/predict", s.handle(s.predictExercise))
				r.Post("/lessons/{slug}/exercises/{exercise}/hint", s.handle(s.hintExercise))
				r.Post("/lessons/{slug}/exercises/{exercise}/skip", s.handle(s.skipExercise))
			})
		})
	})
	return r
}

// compress sends pages and longer JSON compressed to whoever takes that. Of the files
// under /static/ the compressed form is made once, when they are loaded.
var compress = compressor(gzip.DefaultCompression)

// compressFast does the same of what comes with every key: it takes a fifth of the time
// and leaves a quarter more.
var compressFast = compressor(gzip.BestSpeed)

func compressor(level int) func(http.Handler) http.Handler {
	wrap, err := gzhttp.NewWrapper(gzhttp.EnableZstd(false), gzhttp.CompressionLevel(level))
	if err != nil {
		panic(err) // The options are constants, and valid.
	}
	return func(next http.Handler) http.Handler { return wrap(next) }
}

func (s *server) static(w http.ResponseWriter, r *http.Request) {
	if !s.Static.Serve(w, r) {
		s.stray(notFound)(w, r)
	}
}
