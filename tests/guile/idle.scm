;;; A Goblins peer that calls an object by websocket, is idle for a while, and calls it again.
;;;
;;;   guile -L /scripts /scripts/idle.scm URI SECONDS
;;;
;;; The object answers `echo value`. Prints `ok`, and later `DONE`, or `BROKEN` if the second call failed.

(use-modules (goblins)
             (goblins actor-lib timers)
             (goblins ocapn captp)
             (goblins ocapn ids)
             (goblins ocapn netlayer websocket)
             (ice-9 match))

(define (say text)
  (display text)
  (newline)
  (force-output))

(define (call-again object)
  (on (<- object 'echo 2)
      (lambda _ (say "DONE"))
      #:catch (lambda _ (say "BROKEN"))))

(define (call-and-rest object seconds)
  (on (<- object 'echo 1)
      (lambda _
        (say "ok")
        (on (timeout seconds #t) (lambda _ (call-again object))))))

(match (command-line)
  ((_ uri seconds)
   (with-vat (spawn-vat #:name "idle")
     (let ((mycapn (spawn-mycapn (spawn ^websocket-netlayer #:encrypted? #f #:verify-certificates? #f))))
       (on (<- mycapn 'enliven (string->ocapn-id uri))
           (lambda (object) (call-and-rest object (string->number seconds))))))))

(let loop () (usleep 500000) (loop))
