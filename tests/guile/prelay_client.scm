;;; A Goblins peer behind a relay, by Goblins' own account flow.
;;;
;;;   guile -L /scripts /scripts/prelay_client.scm ACCOUNT-URI
;;;
;;; Prints `echo URI` and `counter URI`, its objects over prelay, then `READY`. Then it reads commands:
;;;
;;;   call URI       -> sends `greet "Guile"` to the object there; prints `said TEXT` or `broke`
;;;   hold URI       -> enlivens it and keeps it; prints `held`; and `severed REASON` when its session severs
;;;   flood URI N    -> sends N one-way messages of 64 KiB to it, as fast as it can; prints `flooded`

(use-modules (goblins)
             (goblins actor-lib joiners)
             (goblins actor-lib methods)
             (goblins ocapn captp)
             (goblins ocapn ids)
             (goblins ocapn netlayer prelay-utils)
             (ice-9 match)
             (ice-9 rdelim)
             (rnrs bytevectors)
             (passable))

(define vat (spawn-vat #:name "client"))

(define (^echo bcom)
  (lambda args args))

(define* (^counter bcom #:optional (count 0))
  (methods
   ((incr) (bcom (^counter bcom (+ count 1)) (+ count 1)))))

(define (start account)
  (define netlayer (fetch-and-spawn-prelay-netlayer (string->ocapn-id account)))
  (define mycapn (spawn-mycapn netlayer))
  (define (publish name object)
    (on (<- mycapn 'register object 'prelay)
        (lambda (sturdyref) (tell name (ocapn-id->string sturdyref)))
        #:promise? #t))
  (on (all-of (publish "echo" (spawn ^echo)) (publish "counter" (spawn ^counter)))
      (lambda _ (tell "READY"))
      #:catch (lambda (problem) (tell "FAILED" (say problem)) (primitive-_exit 1)))
  mycapn)

(define mycapn
  (with-vat vat (start (cadr (command-line)))))

(define (enliven uri)
  (<- mycapn 'enliven (string->ocapn-id uri)))

(define (call uri)
  (on (<- (enliven uri) 'greet "Guile")
      (lambda (answer) (tell "said" answer))
      #:catch (lambda _ (tell "broke"))))

(define (hold uri)
  (on (enliven uri)
      (lambda (object)
        (on-sever object (lambda (type reason) (tell "severed" (say reason))))
        (on (<- object 'greet "Guile") (lambda _ (tell "held"))))
      #:catch (lambda _ (tell "broke"))))

(define (flood uri count)
  (define load (make-bytevector 65536 1))
  (on (enliven uri)
      (lambda (object)
        (on-sever object (lambda (type reason) (tell "severed" (say reason))))
        (let loop ((left count))
          (unless (zero? left)
            (<-np object 'echo load)
            (loop (- left 1))))
        (tell "flooded"))
      #:catch (lambda _ (tell "broke"))))

(let loop ()
  (let ((line (read-line)))
    (unless (eof-object? line)
      (with-vat vat
        (match (string-split line #\space)
          (("call" uri) (call uri))
          (("hold" uri) (hold uri))
          (("flood" uri count) (flood uri (string->number count)))))
      (loop))))
(primitive-_exit 0)
