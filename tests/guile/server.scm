;;; A Goblins peer that serves one object of each behaviour that a test may want to meet.
;;;
;;;   guile -L /scripts /scripts/server.scm [PORT [KEY-FILE CERT-FILE]]
;;;   guile -L /scripts /scripts/server.scm ws | wss [PORT]
;;;
;;; The first form is reached by tcp-tls, the second by websocket.
;;; Prints `NAME URI` per object, then `READY`, and serves until its standard input ends. Garbage is collected
;;; every half second, so that what is dropped here is soon reported to the peer.

(use-modules (goblins)
             (goblins actor-lib joiners)
             (goblins actor-lib methods)
             (goblins actor-lib timers)
             (goblins ocapn captp)
             (goblins ocapn ids)
             (goblins ocapn netlayer tcp-tls)
             (goblins ocapn netlayer websocket)
             (ice-9 binary-ports)
             (ice-9 match)
             (ice-9 rdelim)
             (ice-9 threads)
             (passable)
             (srfi srfi-11))

;; Called with anything, answers the list of it.
(define (^echo bcom)
  (lambda args args))

;; Called with a reference, calls that with "Hello" and answers what it answers.
(define (^greeter bcom)
  (lambda (guest) (<- guest "Hello")))

;; incr [by] -> the new count; get -> the count.
(define* (^counter bcom #:optional (count 0))
  (methods
   ((incr #:optional (by 1))
    (let ((new (+ count by)))
      (bcom (^counter bcom new) new)))
   ((get) count)))

;; later seconds value -> a promise of it; never -> one that stays pending; pair -> (promise resolver), where
;; the resolver takes `fulfill value` and `break problem`; inside value -> a list that holds a settled promise.
(define (^promiser bcom)
  (methods
   ((later seconds value) (timeout seconds value))
   ((never) (let-values (((promise resolver) (spawn-promise-and-resolver))) promise))
   ((pair) (let-values (((promise resolver) (spawn-promise-and-resolver))) (list promise resolver)))
   ((inside value) (list (timeout 0 value)))))

;; raise text -> fails; refuse value -> breaks the promise with that plain value.
(define (^thrower bcom)
  (methods
   ((raise text) (error text))
   ((refuse value)
    (let-values (((promise resolver) (spawn-promise-and-resolver)))
      ($ resolver 'break value)
      promise))))

;; hold ref; poke args ... -> what the held one answers; drop.
(define* (^holder bcom #:optional held)
  (methods
   ((hold new) (bcom (^holder bcom new) 'holding))
   ((poke . args) (apply <- held args))
   ((drop) (bcom (^holder bcom #f) 'dropped))))

;; after seconds value -> the value, then; never -> no answer.
(define (^slow bcom)
  (methods
   ((after seconds value) (timeout seconds value))
   ((never) (let-values (((promise resolver) (spawn-promise-and-resolver))) promise))))

;; make-factory brand -> factory; its make-car colour -> car; its drive -> text, its serial -> number.
(define (^builder bcom)
  (methods ((make-factory brand) (spawn ^factory brand))))

(define* (^factory bcom brand #:optional (made 0))
  (methods
   ((make-car colour)
    (bcom (^factory bcom brand (+ made 1)) (spawn ^car brand colour made)))))

(define (^car bcom brand colour serial)
  (methods
   ((drive) (string-append "A " colour " " brand " drives"))
   ((serial) serial)))

;; get name -> the value of that name (see passable.scm); names -> all names; check name value -> is it the same?
(define (^values bcom)
  (methods
   ((names) (map car passables))
   ((get name) (assq-ref passables name))
   ((check name value) (same? value (assq-ref passables name)))))

;; make -> a fresh object that only the caller holds; collected -> how many of those were let go of.
(define cradle (make-guardian))

(define* (^witness bcom #:optional (gone 0))
  (define (bury gone)
    (if (cradle) (bury (+ gone 1)) gone))
  (methods
   ((make) (let ((fresh (spawn ^echo))) (cradle fresh) fresh))
   ((collected) (let ((now (bury gone))) (bcom (^witness bcom now) now)))))

;; All that client.scm asks for, in one object.
(define* (^playground bcom #:optional held (count 0))
  (methods
   ((echo . args) args)
   ((greet guest) (<- guest "Hello"))
   ((make-adder n) (spawn ^adder n))
   ((fail text) (error text))
   ((refuse value)
    (let-values (((promise resolver) (spawn-promise-and-resolver)))
      ($ resolver 'break value)
      promise))
   ((labelled #:key flavour) flavour)
   ((later value) (timeout 0.1 value))
   ((count) (let ((new (+ count 1))) (bcom (^playground bcom held new) new)))
   ((is-same a b) (eq? a b))
   ((hold new) (bcom (^playground bcom new count) 'holding))
   ((poke . args) (apply <- held args))
   ((drop) (bcom (^playground bcom #f count) 'dropped))))

(define (^adder bcom n)
  (lambda (m) (+ n m)))

;; introduce receiver exporter -> enlivens both URIs and has the receiver hold the other's object; meet uri -> the
;; object there; give receiver ref -> has the receiver hold ref.
(define (^matchmaker bcom mycapn)
  (define (enliven uri)
    (<- mycapn 'enliven (string->ocapn-id uri)))
  (methods
   ((introduce receiver exporter)
    (on (all-of (enliven receiver) (enliven exporter))
        (match-lambda ((receiver object) (<- receiver 'hold object)))
        #:promise? #t))
   ((give receiver ref)
    (on (enliven receiver) (lambda (receiver) (<- receiver 'hold ref)) #:promise? #t))
   ((meet uri) (<- (enliven uri) "Hello"))))

(define (serve transport netlayer)
  (define mycapn (spawn-mycapn netlayer))
  (define (publish name object)
    (on (<- mycapn 'register object transport)
        (lambda (sturdyref)
          (tell name (ocapn-id->string sturdyref)))
        #:promise? #t))
  (on (all-of (publish "echo" (spawn ^echo))
              (publish "greeter" (spawn ^greeter))
              (publish "counter" (spawn ^counter))
              (publish "promiser" (spawn ^promiser))
              (publish "thrower" (spawn ^thrower))
              (publish "holder" (spawn ^holder))
              (publish "slow" (spawn ^slow))
              (publish "builder" (spawn ^builder))
              (publish "values" (spawn ^values))
              (publish "witness" (spawn ^witness))
              (publish "playground" (spawn ^playground))
              (publish "matchmaker" (spawn ^matchmaker mycapn)))
      (lambda _ (tell "READY"))
      #:catch (lambda (problem) (tell "FAILED" (say problem)) (primitive-_exit 1))))

(define (file-bytes name)
  (call-with-input-file name get-bytevector-all #:binary #t))

(define (spawn-netlayer arguments)
  (match arguments
    (() (spawn ^tcp-tls-netlayer "127.0.0.1"))
    ((port) (spawn ^tcp-tls-netlayer "127.0.0.1" #:port (string->number port)))
    ((port key cert)
     (spawn ^tcp-tls-netlayer "127.0.0.1" #:port (string->number port)
            #:key (file-bytes key) #:cert (file-bytes cert)))))

(define (spawn-websocket scheme port)
  (spawn ^websocket-netlayer #:host "127.0.0.1" #:port port #:encrypted? (string=? scheme "wss")
         #:verify-certificates? #f))

(with-vat (spawn-vat #:name "server")
  (match (cdr (command-line))
    (((and scheme (or "ws" "wss")) . port)
     (serve 'websocket (spawn-websocket scheme (if (null? port) 0 (string->number (car port))))))
    (arguments (serve 'tcp-tls (spawn-netlayer arguments)))))

(call-with-new-thread
 (lambda ()
   (let loop () (usleep 500000) (gc) (loop))))

(let loop ()
  (unless (eof-object? (read-line))
    (loop)))
(primitive-_exit 0)
