;;; A relay as Guile Goblins has it: prelay accounts over tcp-tls.
;;;
;;;   guile -L /scripts /scripts/prelay_relay.scm NAME ...
;;;
;;; Prints `NAME URI`, the one-use URI of an account, per name, then `READY`, and serves until its standard input
;;; ends.

(use-modules (goblins)
             (goblins actor-lib joiners)
             (goblins actor-lib facet)
             (goblins ocapn captp)
             (goblins ocapn ids)
             (goblins ocapn netlayer prelay-utils)
             (goblins ocapn netlayer tcp-tls)
             (ice-9 rdelim)
             (passable))

(define (^register bcom mycapn)
  (lambda (method object) (<- mycapn 'register object 'tcp-tls)))

(define (serve names)
  (define mycapn (spawn-mycapn (spawn ^tcp-tls-netlayer "127.0.0.1")))
  (define admin (spawn ^prelay-admin (spawn ^facet mycapn 'enliven) (spawn ^register mycapn)))
  (define (publish name)
    (on (<- admin 'add-account name)
        (lambda (sturdyref) (tell name (ocapn-id->string sturdyref)))
        #:promise? #t))
  (on (all-of* (map publish names))
      (lambda _ (tell "READY"))
      #:catch (lambda (problem) (tell "FAILED" (say problem)) (primitive-_exit 1))))

(with-vat (spawn-vat #:name "relay")
  (serve (cdr (command-line))))

(let loop ()
  (unless (eof-object? (read-line))
    (loop)))
(primitive-_exit 0)
